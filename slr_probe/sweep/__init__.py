"""Exact answer distributions of any set of hybrids, each distinct prefix of blocks computed once."""

from slr_probe.sweep.estimate import SweepPlan
from slr_probe.sweep.result import SweepResult
from slr_probe.sweep.run import sweep

__all__ = ["SweepPlan", "SweepResult", "sweep"]

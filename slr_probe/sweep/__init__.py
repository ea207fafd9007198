"""Exact answers and scores of replies of any set of hybrids, each distinct prefix of blocks computed once."""

from slr_probe.sweep.estimate import SweepPlan
from slr_probe.sweep.replies import ReplyScores
from slr_probe.sweep.result import SweepResult
from slr_probe.sweep.run import sweep

__all__ = ["ReplyScores", "SweepPlan", "SweepResult", "sweep"]

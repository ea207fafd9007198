"""What a user sees while something runs: one line for the whole, and what it will cost."""

from __future__ import annotations

from slr_probe.progress.bar import progress_bar
from slr_probe.progress.cost import Cost
from slr_probe.progress.course import course, step, told
from slr_probe.progress.duration import spell
from slr_probe.progress.line import silenced

__all__ = ["Cost", "course", "progress_bar", "silenced", "spell", "step", "told"]

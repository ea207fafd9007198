"""Models side by side on the same prompts: every metric, paired, with intervals and adjusted p.

`compare` takes outputs that are there, saved by whomever; a validation is the same comparison of what it generates.
"""

from slr_probe.comparison.harness import comparison_folder, evaluate
from slr_probe.comparison.models import InPair, compare_models
from slr_probe.comparison.outputs import Example, OutputComparison, compare
from slr_probe.comparison.report import ScoreReport

__all__ = [
    "Example",
    "InPair",
    "OutputComparison",
    "ScoreReport",
    "compare",
    "compare_models",
    "comparison_folder",
    "evaluate",
]

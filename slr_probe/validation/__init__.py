"""Is the hybrid more diverse than tuned, and still good? Generation against fair baselines, with intervals."""

from slr_probe.scoring.decompose import Decomposition, decompose
from slr_probe.scoring.own import TextMetric
from slr_probe.scoring.scoring import score_outputs
from slr_probe.validation.methods import BASELINES
from slr_probe.validation.result import ValidationReport
from slr_probe.validation.run import validate

__all__ = ["BASELINES", "Decomposition", "TextMetric", "ValidationReport", "decompose", "score_outputs", "validate"]

"""Pure maths on arrays: entropies and the one paired bootstrap. No models, no files, no plots."""

from slr_probe.stats.bootstrap import resampled_means, winner_share
from slr_probe.stats.entropy import conditional_entropy, normalised_diversity, validity
from slr_probe.stats.interval import Interval, difference_interval, mean_interval, ratio_interval

__all__ = [
    "Interval",
    "conditional_entropy",
    "difference_interval",
    "mean_interval",
    "normalised_diversity",
    "ratio_interval",
    "resampled_means",
    "validity",
    "winner_share",
]

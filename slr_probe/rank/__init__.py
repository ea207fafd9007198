"""Ranking: which contiguous range of blocks to restore, and how sure that is."""

from slr_probe.rank.compare import Choice, Gap
from slr_probe.rank.guards import EndBias, Guards
from slr_probe.rank.order import Agreement
from slr_probe.rank.ranking import RangeRanking
from slr_probe.rank.search import METHODS, rank_layers

__all__ = ["METHODS", "Agreement", "Choice", "EndBias", "Gap", "Guards", "RangeRanking", "rank_layers"]

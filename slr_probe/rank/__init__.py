"""Ranking: which contiguous range of blocks to restore, and how sure that is."""

from slr_probe.rank.agreement import Agreement
from slr_probe.rank.ranking import RangeRanking
from slr_probe.rank.search import METHODS, rank_layers

__all__ = ["METHODS", "Agreement", "RangeRanking", "rank_layers"]

"""Studies of many pairs: one queue, one folder a pair, one table and figure over all of them."""

from slr_probe.study.many.pairs import NamedPair, read_pairs
from slr_probe.study.many.run import run_table

__all__ = ["NamedPair", "read_pairs", "run_table"]

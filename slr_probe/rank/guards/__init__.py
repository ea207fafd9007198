"""Guards: what a range must keep of tuned's own replies, and what its openings say of its diversity."""

from slr_probe.rank.guards.bounds import GUARDS, Guards
from slr_probe.rank.guards.repair import EndBias
from slr_probe.rank.guards.table import ReplyTable

__all__ = ["GUARDS", "EndBias", "Guards", "ReplyTable"]

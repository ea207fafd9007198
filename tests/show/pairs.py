"""A small table of pairs: one that was ranked, one with nothing to restore, one that failed."""

import numpy as np

from slr_probe.rank import RangeRanking
from slr_probe.rank.across import PairTable, row_of
from slr_probe.rank.blocks.scorers import BlockScores
from tests.golden.study import GOLDEN


def some_pairs() -> PairTable:
    ranking = RangeRanking.load(GOLDEN / "rank/ranking.npz")
    first, last = np.eye(ranking.depth)[0], np.eye(ranking.depth)[-1]
    names = [{"pair": name, "base": "B", "tuned": "T"} for name in ("ranked", "equal", "gone")]
    found = [
        row_of(ranking, {"delta": BlockScores(first), "lens": BlockScores(last)}),
        {"depth": 4, "reason": "no gain"},
        {"reason": "failed: no"},
    ]
    return PairTable(tuple(name | row for name, row in zip(names, found, strict=True)))

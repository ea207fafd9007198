"""`PairTable`: what the rankings of several pairs say, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from slr_probe.rank.blocks.scorers import BlockScores
from slr_probe.rank.compare import evidence
from slr_probe.rank.ranking import RangeRanking
from slr_probe.result import Result, plain_value

if TYPE_CHECKING:
    import pandas as pd

_FOUND = 0.8
"""Share of the best range's gain that a cheap method's first range must bring to have found it (ours)."""
COLUMNS = (
    *("pair", "base", "tuned", "depth", "layers", "start", "stop", "gain", "gain_low", "gain_high", "state"),
    *("kept", "excluded", "excluded_by", "found_by", "reason"),
)


@dataclass(frozen=True, eq=False, repr=False)
class PairTable(Result):
    """One row a pair.

    Attributes:
        rows: For each pair its name and checkpoints, and, where it was ranked: `depth`; the range to restore
            (`layers`) with its `start` and `stop` as shares of the depth; its `gain` in diversity above tuned (fraction
            of log |V|) with limits and `state`, and the share of tuned's validity that is `kept`, both held out where
            they can be; the range that guards `excluded`, and which guards; the methods that would have found the range
            (`found_by`), and for each method its first range (`METHOD_first`) and that range's share of the gain
            (`METHOD_share`). `reason` says why there is no range. What is not known is None.
    """

    rows: tuple[dict[str, Any], ...]

    kind: ClassVar[str] = "slr_probe.pairs/1"
    view: ClassVar[str] = "pairs"

    @property
    def methods(self) -> tuple[str, ...]:
        """The cheap methods that at least one pair was asked about."""
        return tuple(dict.fromkeys(key.removesuffix("_first") for row in self.rows for key in row if "_first" in key))

    def to_dataframe(self) -> pd.DataFrame:
        """One row a pair."""
        import pandas as pd

        columns = [*COLUMNS, *(f"{name}_{what}" for name in self.methods for what in ("first", "share"))]
        return pd.DataFrame([{name: row.get(name) for name in columns} for row in self.rows], columns=columns)


def row_of(ranking: RangeRanking, cheap: Mapping[str, BlockScores]) -> dict[str, Any]:
    """What a ranking says, as a row of a `PairTable`.

    Args:
        ranking: Exact scores of all ranges.
        cheap: By method, its opinion of every block.
    """
    choice, depth = ranking.choice, ranking.depth
    row: dict[str, Any] = {"depth": depth, "excluded_by": ", ".join(choice.excluded_by)}
    row["excluded"] = str(choice.excluded) if choice.excluded else ""
    if choice.layers is None or choice.gain is None:
        return {**row, "reason": choice.why}
    best, gain = ranking.index(choice.layers), choice.gain
    row |= {"layers": str(choice.layers), "start": choice.layers.start / depth, "stop": choice.layers.stop / depth}
    row |= {"gain": gain.difference.value, "gain_low": gain.difference.low, "gain_high": gain.difference.high}
    row |= {"state": gain.state, "kept": evidence(ranking, best).kept.value}
    found, slack = [], float(ranking.mean_validity[ranking.tuned]) - ranking.required_validity
    for name, scores in cheap.items():
        first = int(scores.of_ranges(ranking.ranges, slack).argmax())
        share = _share(ranking, first, best)
        row |= {f"{name}_first": str(ranking.ranges[first]), f"{name}_share": share}
        if ranking.feasible[first] and share >= _FOUND:
            found.append(name)
    return {key: plain_value(value) for key, value in {**row, "found_by": ", ".join(found)}.items()}


def _share(ranking: RangeRanking, row: int, best: int) -> float:
    """Gain of a range as a share of the best range's, by what the ranking orders ranges by."""
    value = np.asarray(ranking.value)
    return float((value[row] - value[ranking.tuned]) / (value[best] - value[ranking.tuned]))

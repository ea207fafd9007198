"""`RangeRanking`: which range to restore, how good it is, and how sure that is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.errors import LayerRangeError
from slr_probe.layers import LayerRange
from slr_probe.rank.candidates import WIDER
from slr_probe.rank.compare import Choice, Gap, choose, gaps
from slr_probe.rank.findings.dominant import dominant
from slr_probe.rank.findings.entropy_cost import EntropyCost, cost_at_equal_entropy
from slr_probe.rank.findings.interaction import SplitInteraction, interaction_interval, split_interactions
from slr_probe.rank.findings.near import NearEqual, near_equal
from slr_probe.rank.findings.split import Split, split_change
from slr_probe.rank.findings.wider import Wider, wider
from slr_probe.rank.frontier import Warmer, at_floor
from slr_probe.rank.guards.bounds import REPLY_GUARDS
from slr_probe.rank.guards.repair import EndBias, repair
from slr_probe.rank.order import Agreement, agreement
from slr_probe.rank.scores import MEASURES, RangeScores
from slr_probe.result import limits, plain_value, records

if TYPE_CHECKING:
    import pandas as pd

    from slr_probe.stats import Interval


@dataclass(frozen=True, eq=False, repr=False)
class RangeRanking(RangeScores):
    """The ranking of all ranges: the scores of `RangeScores`, the order, and what to restore.

    `choice` says what to do; `best` is only the top of the order, which may be worth nothing.
    """

    kind: ClassVar[str] = "slr_probe.ranking/1"
    view: ClassVar[str] = "ranking"

    # -- what to do ----------------------------------------------------------------------------------------------

    @cached_property
    def choice(self) -> Choice:
        """The range to restore, or the reason why there is none."""
        return choose(self)

    def named(self, layers: LayerRange | str) -> Choice:
        """The choice of a range that a user names, whatever the ranking says.

        Raises:
            LayerRangeError: It is malformed, empty or out of bounds.
        """
        row = self.index(layers)
        return Choice(self.ranges[row], "named in the settings, whatever the ranking says", gaps(self, row)[0])

    def gaps(self, layers: LayerRange | str | None = None) -> tuple[Gap, ...]:
        """How much more diverse a range is than tuned, the early and late controls and the best soup.

        Args:
            layers: The range; default: the top of the order.

        Raises:
            LayerRangeError: It is malformed, empty or out of bounds.
        """
        return gaps(self, int(self.order[0]) if layers is None else self.index(layers))

    @cached_property
    def near_equal(self) -> NearEqual | None:
        """The ranges that these prompts cannot tell from the best one; None where the choice was not drawn again."""
        return near_equal(self)

    @property
    def warmest(self) -> Warmer | None:
        """What can be had without restoring anything: tuned so warm that it just keeps the floor; None if unknown."""
        return at_floor(self)

    @cached_property
    def wider(self) -> tuple[Wider, ...]:
        """The best recipe of each family that was searched beside whole ranges, compared with the best range."""
        return wider(self)

    @cached_property
    def split(self) -> Split | None:
        """The change from tuned to the best range as order and shape; None where it was not read out."""
        return split_change(self)

    @cached_property
    def cost(self) -> EntropyCost | None:
        """How far the best range and a tuned of the same entropy write from tuned; None where that is unknown."""
        return cost_at_equal_entropy(self)

    def end_bias(self, layers: LayerRange | str | None = None) -> EndBias | None:
        """The number on the end tokens' logits that makes a range end its turns as tuned does; None without replies.

        Args:
            layers: The range; default: the one that guards exclude, else the top of the order.

        Raises:
            LayerRangeError: It is malformed, empty or out of bounds.
        """
        row = self.index(layers or self.choice.excluded or self.best)
        if not self.judge.table.ends or not self.measured[row]:
            return None
        ends = self.settings.get("end_tokens", ())
        return repair(self.judge.table, self.held_judge.table, row, self.tuned, ends)

    def interaction(self) -> Interval:
        """Whether early and late blocks work together: see `slr_probe.rank.findings.interaction`; one entry a split.

        Raises:
            RankingError: A range was not measured, or there is a single prompt.
        """
        return interaction_interval(self)

    @cached_property
    def interactions(self) -> tuple[SplitInteraction, ...]:
        """The same with p-values, split by split; nothing where a range was not measured, or there is one prompt."""
        return split_interactions(self)

    # -- the order -----------------------------------------------------------------------------------------------

    @property
    def best(self) -> LayerRange:
        """The top of the order. Whether it is worth restoring is what `choice` says."""
        return self.ranges[int(self.order[0])]

    @property
    def meets_floor(self) -> bool:
        """Whether the best range keeps `floor` times the validity of tuned and passes all guards."""
        return bool(self.feasible[self.order[0]])

    def top(self, k: int = 10) -> tuple[LayerRange, ...]:
        """The first `k` ranges of the ranking."""
        return tuple(self.ranges[i] for i in self.order[:k])

    def pareto(self) -> tuple[LayerRange, ...]:
        """Measured ranges that no other beats in validity and in diversity, by falling validity."""
        return tuple(self.ranges[i] for i in self.front)

    def agreement(self, other: RangeRanking, k: int = 10) -> Agreement:
        """How far two methods agree on the order of all ranges and on the first `k`.

        Raises:
            RankingError: The other ranking is of a model of another depth.
        """
        return agreement(self.key, other.key, self.top(k), other.top(k))

    def index(self, layers: LayerRange | str) -> int:
        """Row of a range.

        Raises:
            LayerRangeError: It is malformed, empty or out of bounds.
        """
        wanted = LayerRange(layers).within(self.depth, allow_empty=False)
        if wanted not in self.ranges:
            raise LayerRangeError(f"layer range {wanted} is not in this ranking")
        return self.ranges.index(wanted)

    # -- as a table and as plain data ----------------------------------------------------------------------------

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each range in ranked order, then references and controls; intervals as `_low` and `_high`."""
        import pandas as pd

        n, total = len(self.ranges), len(self.kinds)
        place, share = np.full(total, np.nan), np.full(total, np.nan)
        place[self.order], share[:n] = np.arange(1, n + 1), self.p_best
        layers = [recipe.layers for recipe in self.recipes]
        columns: dict[str, Any] = {
            "rank": pd.array([None if np.isnan(p) else int(p) for p in place], dtype="Int64"),
            "kind": self.kinds,
            "recipe": [str(recipe) for recipe in self.recipes],
            "start": pd.array([r.start if r else None for r in layers], dtype="Int64"),
            "stop": pd.array([r.stop if r else None for r in layers], dtype="Int64"),
            "width": [len(recipe.restored_blocks) for recipe in self.recipes],
            **self._measures(held_out=False),
            **self._measures(held_out=True),
            "meets_floor": self.feasible,
            "pareto": np.isin(np.arange(total), self.front),
            "p_best": share,
            "score": self.score,
            **({"ended_validity": self.ended_validity.mean(axis=1)} if self.ended_validity.size else {}),
            **self._replies(),
        }
        ranked = np.concatenate([self.order, np.arange(n, total)])
        return pd.DataFrame(columns).iloc[ranked].reset_index(drop=True)

    def _measures(self, *, held_out: bool) -> dict[str, Float[ndarray, " row"]]:
        columns = {}
        for what in MEASURES:
            name = f"held_{what}" if held_out else what
            found = self.interval(what, held_out=held_out)
            columns[name] = self.means(what, held_out=held_out)
            columns[f"{name}_low"], columns[f"{name}_high"] = found.low, found.high
        return columns

    def _replies(self) -> dict[str, Any]:
        """What the rows say to replies, and which guards exclude them; nothing where no replies were read."""
        if not self.has_replies:
            return {}
        columns: dict[str, Any] = {}
        for guard in REPLY_GUARDS:
            columns |= limits(guard, self.guard_interval(guard, range(len(self.kinds))))
        columns["spread"] = self.mean_spread
        if self.judge.asked:
            columns["excluded_by"] = [", ".join(self.excluded_by(row)) for row in range(len(self.kinds))]
        return columns

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: `choice`, `tuned`, `base`, `best`, `candidates`; null for what is missing."""
        rows = [_with_intervals(row) for row in records(self.to_dataframe())]
        kinds: dict[str, list[dict[str, Any]]] = {}
        for record in rows:
            kinds.setdefault(record["kind"], []).append(record)
        return {
            "method": self.method,
            "depth": self.depth,
            "validity_floor": self.floor,  # as the format names it
            "least_validity": self.required_validity,
            "meets_floor": self.meets_floor,
            "objective": self.objective,
            "guards": None if self.guards is None else dict(self.guards),
            "choice": self._plain_choice(),
            **({} if self.race is None else {"race": dict(self.race)}),
            "cost_at_equal_entropy": None if self.cost is None else self.cost.to_dict(self.ranges),
            "interaction": [{k: plain_value(v) for k, v in asdict(one).items()} for one in self.interactions],
            "order_and_shape": None if self.split is None else self.split.to_dict(self.ranges),
            "diversity_unit": "fraction of log |V|",
            "level": self.level,
            "resamples": self.resamples,
            "seed": self.seed,
            "prompts": {"selection": self.prompts(held_out=False), "held_out": self.prompts(held_out=True)},
            "tuned": kinds["tuned"][0],
            "base": kinds.get("base", [None])[0],
            "full": kinds["full"][0],
            "best": kinds["range"][0],
            "best_soup": None if self.best_soup is None else rows[self.best_soup],  # only ranges change places
            "controls": [record for kind in ("early", "late", "random") for record in kinds.get(kind, [])],
            "soups": kinds.get("soup", []),
            "wider": {family: kinds[family] for family in WIDER if family in kinds},
            "pareto": [str(layers) for layers in self.pareto()],
            "near_equal": self._plain_group(),
            "probability_that_none_meets_floor": plain_value(self.p_none),
            "candidates": kinds["range"],
            "block_scores": [plain_value(value) for value in self.block_gain],
            "settings": dict(self.settings),
            "notes": list(self.notes),
        }

    def _plain_group(self) -> dict[str, Any] | None:
        group = self.near_equal
        if group is None:
            return None
        layers = [str(one) for one in group.layers]
        shared = None if group.shared is None else str(group.shared)
        return {"layers": layers, "p_best": list(group.shares), "steadiest": layers[0], "shared_blocks": shared}

    def _plain_choice(self) -> dict[str, Any]:
        choice = self.choice
        compared = [] if choice.layers is None else self.gaps(choice.layers)
        better = () if choice.layers is None else dominant(self, self.index(choice.layers))
        return {
            "layers": None if choice.layers is None else str(choice.layers),
            "why": choice.why,
            "confirmed": choice.confirmed,
            "excluded": None if choice.excluded is None else str(choice.excluded),
            "excluded_by": list(choice.excluded_by),
            "better_in_both": [str(self.recipes[gap.other]) for gap in better if gap.other is not None],
            "gaps": [
                {
                    "kind": gap.kind,
                    "difference": plain_value(gap.difference.value),
                    "difference_interval": [plain_value(gap.difference.low), plain_value(gap.difference.high)],
                    "p_adjusted": plain_value(gap.p),
                    "state": gap.state,
                    "temperature": plain_value(gap.temperature),
                }
                for gap in compared
            ],
        }


def _with_intervals(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the table; the two limits of an interval become one pair."""
    for name in [name[: -len("_low")] for name in row if name.endswith("_low")]:
        row[f"{name}_interval"] = [row.pop(f"{name}_low"), row.pop(f"{name}_high")]
    return row

"""`PatchingResult`: what each patch does to validity, diversity and any other metric."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.defaults import LEVEL
from slr_probe.errors import SlrProbeError
from slr_probe.result import Result, limits, records
from slr_probe.stats.interval import FEWEST, Interval, interval_where_all_defined, ratio_interval

if TYPE_CHECKING:
    import pandas as pd

DIRECTIONS = ("base->tuned", "tuned->base")
"""Donor and recipient."""
SMALLEST_GAP = 1e-3
"""Models that differ by less in the mean of a metric (nats, probability) are not told apart; our choice."""
Kind = Literal["donor", "random"]


@dataclass(frozen=True, eq=False, repr=False)
class PatchingResult(Result):
    """Metrics of every patched run and of both models as they are, on the same prompts.

    Attributes:
        metrics: Names: `"validity"` (probability of the answer set), `"conditional_entropy"` (nats, renormalised over
            it), `"diversity"` (the same as a share of log |V|), `"entropy"` (nats, whole vocabulary), and the caller's.
        directions: `"base->tuned"` (base activations into tuned) and `"tuned->base"`.
        components: `"resid"`, `"attn"`, `"mlp"`.
        windows: Patched blocks, as text such as `"3:4"`.
        positions: `"answer"` or `"all"`.
        prompts: A short text for each prompt.
        patched: Metrics of the patched runs.
        unpatched: Metrics of base and tuned as they are.
        random: Metrics where the recipient's own activation plus a random direction, as long as the donor's difference,
            was put in; None without controls.
        self_change: Largest change of any logit when base, and tuned, is patched with its own activations; 0 is exact.
        categories: Category of each prompt, within which the bootstrap draws; empty where there are none.
        confidence: Level of the intervals over prompts.
        seed: Seed of the bootstrap.
    """

    kind: ClassVar[str] = "slr_probe.patching/1"
    view: ClassVar[str] = "patching"

    metrics: tuple[str, ...]
    directions: tuple[str, ...]
    components: tuple[str, ...]
    windows: tuple[str, ...]
    positions: str
    prompts: tuple[str, ...]
    patched: Float[ndarray, "metric direction component window prompt"]
    unpatched: Float[ndarray, "metric model prompt"]
    random: Float[ndarray, "metric direction component window prompt"] | None = None
    self_change: Float[ndarray, " model"] | None = None
    categories: tuple[str, ...] = ()
    confidence: float = LEVEL
    seed: int = 0

    @property
    def main_metric(self) -> str:
        """What tables and figures show first: diversity within the answer set, or entropy where there is none."""
        return "conditional_entropy" if "conditional_entropy" in self.metrics else self.metrics[0]

    def values(
        self, metric: str, direction: str, component: str, kind: Kind = "donor"
    ) -> Float[ndarray, "window prompt"]:
        """A metric of the patched runs of one direction and component.

        Raises:
            SlrProbeError: A name is unknown, or there were no controls.
        """
        if kind == "random" and self.random is None:
            raise SlrProbeError("this patching was run with controls=False; run it with controls=True")
        runs = self.patched if kind == "donor" or self.random is None else self.random
        at = (self._at("metrics", metric), self._at("directions", direction), self._at("components", component))
        return np.asarray(runs[at])

    def model(self, metric: str, name: str) -> Float[ndarray, " prompt"]:
        """A metric of `"base"` or `"tuned"` as it is."""
        return np.asarray(self.unpatched[self._at("metrics", metric), ("base", "tuned").index(name)])

    def gap(self, metric: str, direction: str) -> Interval:
        """Mean over prompts of donor minus recipient, both unpatched: what a patch can recover."""
        donor, recipient = direction.split("->")
        return self._interval((self.model(metric, donor) - self.model(metric, recipient))[None])

    def effect(self, metric: str, direction: str, component: str, kind: Kind = "donor") -> Interval:
        """Mean over prompts of patched minus unpatched recipient, for each window, with its paired interval."""
        recipient = self.model(metric, direction.split("->")[1])
        return self._interval(self.values(metric, direction, component, kind) - recipient)

    def credits(self) -> tuple[Float[ndarray, " block"], Float[ndarray, " block"]] | None:
        """What restoring each block alone adds to mean diversity (fraction of log |V|) and mean validity.

        The residual stream of base put into tuned after block l is the hybrid `[0, l + 1)` at the patched positions,
        and the other way round `[l + 1, L)`, but for what differs outside the blocks: a block is credited with the mean
        of what it adds to either. None without the answer set, one of the directions, or the residual stream after
        every single block.
        """
        single = self.windows == tuple(f"{block}:{block + 1}" for block in range(len(self.windows)))
        known = {"diversity", "validity"} <= {*self.metrics} and "resid" in self.components
        if not (single and known and set(DIRECTIONS) <= {*self.directions}):
            return None
        diversity, validity = (
            sum(
                sign * np.diff(self.effect(metric, direction, "resid").estimate, prepend=0.0)
                for sign, direction in zip((0.5, -0.5), DIRECTIONS, strict=True)
            )
            for metric in ("diversity", "validity")
        )
        return np.asarray(diversity), np.asarray(validity)

    def undefined(self, metric: str, direction: str) -> str:
        """Why recovered fractions mean nothing here; empty where they do.

        A fraction of the difference between two models that cannot be told apart would be noise divided by noise.
        Below `FEWEST` prompts nobody can tell.
        """
        gap = self.gap(metric, direction)
        size, low, high = float(gap.estimate[0]), float(gap.low[0]), float(gap.high[0])
        if not np.isfinite(size):
            return f"{metric} is not defined on any prompt"
        if abs(size) < SMALLEST_GAP:
            return f"base and tuned differ in mean {metric} by {abs(size):.2g}, less than {SMALLEST_GAP:g}"
        if not np.isfinite([low, high]).all():
            return (
                f"whether base and tuned differ in {metric} cannot be judged from fewer than {FEWEST} prompts where it "
                f"is defined; the difference is {size:+.3g}"
            )
        if low <= 0 <= high:
            return (
                f"base and tuned cannot be told apart in {metric}: the difference is {size:+.3g} with the "
                f"{self.confidence:.0%} interval [{low:+.3g}, {high:+.3g}]"
            )
        return ""

    def recovered(self, metric: str, direction: str, component: str, kind: Kind = "donor") -> Interval:
        """(patched - unpatched) / (donor - unpatched) in means over prompts: 0 no effect, 1 as the donor.

        NaN where `undefined` gives a reason, and where fewer than `FEWEST` prompts have the metric after every patch.
        Not bounded: a patch may overshoot, or act against the donor.
        """
        donor, recipient = (self.model(metric, name) for name in direction.split("->"))
        effect, gap = self.values(metric, direction, component, kind) - recipient, donor - recipient
        used = np.isfinite(effect).all(axis=0) & np.isfinite(gap)
        if used.sum() < FEWEST or self.undefined(metric, direction):
            nothing = np.full(len(effect), np.nan)
            return Interval(nothing, nothing, nothing, self.confidence)
        effect, gap = effect[:, used], gap[used]
        strata = [c for c, keep in zip(self.categories, used, strict=True) if keep] if self.categories else None
        options: dict[str, Any] = {"level": self.confidence, "seed": self.seed, "strata": strata}
        sign = np.sign(gap.mean())
        return ratio_interval(sign * effect, sign * gap, signed=True, **options)

    def to_dataframe(self) -> pd.DataFrame:
        """A row for each metric, direction, component and window.

        `recipient` and `donor` are the unpatched means, `effect` is patched minus recipient, `recovered` its share of
        donor minus recipient (NaN where that is undefined), `random_...` the same for the random direction, all means
        over prompts with the limits of their intervals (`_low`, `_high`).
        """
        import pandas as pd

        parts = [pd.DataFrame(self._columns(*at)) for at in product(self.metrics, self.directions, self.components)]
        return pd.concat(parts, ignore_index=True)

    def rows(self) -> list[dict[str, Any]]:
        """Plain data for JSON: a row a metric, direction, component and window; what is undefined is None."""
        return records(self.to_dataframe())

    def _at(self, axis: str, name: str) -> int:
        names: tuple[str, ...] = getattr(self, axis)
        if name not in names:
            raise SlrProbeError(f"no {name!r} among the {axis} of this result: {', '.join(names)}")
        return names.index(name)

    def _interval(self, values: Float[ndarray, "row prompt"]) -> Interval:
        return interval_where_all_defined(values, self.categories, level=self.confidence, seed=self.seed)

    def _columns(self, metric: str, direction: str, component: str) -> dict[str, Any]:
        """The table of one metric, direction and component: a row a window."""
        donor, recipient = (float(np.nanmean(self.model(metric, name))) for name in direction.split("->"))
        columns: dict[str, Any] = {
            "metric": metric,
            "direction": direction,
            "component": component,
            "blocks": list(self.windows),
            "block": [int(window.split(":")[0]) for window in self.windows],
            "recipient": recipient,
            "donor": donor,
        }
        columns |= limits("effect", self.effect(metric, direction, component))
        columns |= limits("recovered", self.recovered(metric, direction, component))
        if self.random is not None:
            columns |= limits("random_effect", self.effect(metric, direction, component, "random"))
            columns |= limits("random_recovered", self.recovered(metric, direction, component, "random"))
        return columns

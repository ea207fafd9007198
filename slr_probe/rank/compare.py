"""What a range is worth beside tuned, controls and the best soup, and whether it is to be restored.

Held-out prompts speak where there are any. The choice itself is made on the selection prompts alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from slr_probe.layers import LayerRange
from slr_probe.rank.frontier import warmer
from slr_probe.rank.guards.bounds import Guard
from slr_probe.rank.order import EQUAL
from slr_probe.rank.reasons import reason
from slr_probe.rank.scores import MEASURES, RangeScores, What
from slr_probe.stats import difference_interval
from slr_probe.stats.compare import FEWEST_PROMPTS, State, adjusted_tests, difference_state

FloorState = Literal["above", "perhaps above", "perhaps below", "below"]
"""Where a share of tuned's validity stands: the whole interval above the floor, its estimate above, below, or all."""

Stability = Literal["stable", "moderately stable", "not stable", "unknown"]
_STABLE, _MODERATE = 0.8, 0.4  # shares of resamples (ours)


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; `low` and `high` are NaN where there is none."""

    value: float
    low: float
    high: float

    @property
    def bounded(self) -> bool:
        """Whether there is an interval."""
        return bool(np.isfinite([self.low, self.high]).all())

    @property
    def sign(self) -> int:
        """1 or -1 where the whole interval is above or below zero, else 0."""
        return int(self.low > 0) - int(self.high < 0)


@dataclass(frozen=True)
class Evidence:
    """What is known of one row of a ranking, held out where it can be.

    Attributes:
        held_out: Whether this is from prompts that no choice was made on.
        prompts: How many prompts.
        validity: Mean validity.
        diversity: Mean diversity.
        gain: Diversity above tuned.
        kept: Share of tuned's validity.
        floor: Whether that share is above the floor, and whether that is shown.
    """

    held_out: bool
    prompts: int
    validity: Estimate
    diversity: Estimate
    gain: Estimate
    kept: Estimate
    floor: FloorState


@dataclass(frozen=True)
class Gap:
    """A range's diversity above another model's.

    Attributes:
        kind: The other model: `"tuned"`, `"early"`, `"late"`, `"soup"`, or `"warmer"`: tuned at the
            temperature at which it is as valid.
        difference: Fraction of log |V|, paired over prompts.
        p: P-value of `paired_test`, adjusted by Holm's method for the other gaps of the same range.
        state: What interval and test together say.
        kept: Share of tuned's validity that the other model keeps.
        keeps_floor: Whether that share meets the floor.
        temperature: The temperature that the other model is sampled at; NaN for that of the ranking.
        prompts: How many prompts the difference is the mean of.
        other: Row of the other model; None for tuned at another temperature.
    """

    kind: str
    difference: Estimate
    p: float
    state: State
    kept: float
    keeps_floor: bool
    temperature: float = float("nan")
    prompts: int = 0
    other: int | None = None

    @property
    def exploratory(self) -> bool:
        """Whether there are too few prompts for more than a hint."""
        return self.prompts < FEWEST_PROMPTS

    @property
    def confirmed(self) -> bool:
        """Whether interval and test agree that there is a difference."""
        return self.state in ("more", "less")


@dataclass(frozen=True)
class Choice:
    """The range to restore, or why there is none.

    Two choices are equal where they are the same range for the same reason: the gain, which may be from held-out
    prompts, played no part in them.

    Attributes:
        layers: The range; None for nothing to restore.
        why: The reason, as a clause.
        excluded: What the floor on validity alone would choose, where guards exclude it; else None.
        excluded_by: The guards that do.
        gain: Its diversity above tuned's; None for nothing to restore.
    """

    layers: LayerRange | None
    why: str
    gain: Gap | None = field(default=None, compare=False)
    excluded: LayerRange | None = None
    excluded_by: tuple[Guard, ...] = ()

    @property
    def confirmed(self) -> bool:
        """Whether it is confirmed that the range is more diverse than tuned."""
        return self.gain is not None and self.gain.state == "more"


def estimates(scores: RangeScores, what: What, rows: Sequence[int], *, held_out: bool) -> list[Estimate]:
    """One measure of some rows on one kind of prompts."""
    limits = scores.interval(what, held_out=held_out, rows=rows)
    values = scores.means(what, held_out=held_out)[list(rows)]
    return [Estimate(*map(float, found)) for found in zip(values, limits.low, limits.high, strict=True)]


def evidence(scores: RangeScores, row: int) -> Evidence:
    """Scores of a row: on held-out prompts where it was scored on them, else on those it was chosen on."""
    held_out = both_held_out(scores, row)
    validity, diversity, gain, kept = (estimates(scores, what, [row], held_out=held_out)[0] for what in MEASURES)
    prompts = scores.prompts(held_out=held_out)
    return Evidence(held_out, prompts, validity, diversity, gain, kept, _floor_state(kept, scores.floor))


def compare(scores: RangeScores, row: int, other: int) -> Estimate:
    """Diversity of one row above another's, paired over prompts, held out where both were scored so."""
    return _estimate(scores, _differences(scores, row, other), held_out=both_held_out(scores, row, other))


def _estimate(scores: RangeScores, moved: np.ndarray, *, held_out: bool) -> Estimate:
    """Mean of paired differences, with its interval."""
    if len(moved) < 2 or not np.isfinite(moved).all():
        return Estimate(float(moved.mean()) if len(moved) else np.nan, np.nan, np.nan)
    found = difference_interval(moved[None], np.zeros_like(moved), **scores.bootstrap(held_out=held_out))
    return Estimate(float(found.estimate[0]), float(found.low[0]), float(found.high[0]))


def gaps(scores: RangeScores, row: int) -> tuple[Gap, ...]:
    """What a range is compared with: tuned, controls that are other blocks, the best soup, and a warmer tuned."""
    own = own_controls(scores, row)
    others = [("tuned", scores.tuned)]
    others += [(kind, int(i)) for kind in ("early", "late") if kind not in own for i in scores.rows(kind)]
    soup = scores.best_soup
    if soup is not None and not scores.recipes[soup].is_tuned:  # else no other soup is allowed, and tuned is there
        others.append(("soup", soup))
    rivals = [*(_rival(scores, row, kind, other) for kind, other in others), *_warmer(scores, row)]
    adjusted = adjusted_tests([rival.differences for rival in rivals], seed=scores.seed)
    return tuple(_gap(scores, rival, float(p)) for rival, p in zip(rivals, adjusted, strict=True))


def gaps_between(scores: RangeScores, row: int, others: Sequence[tuple[str, int]]) -> tuple[Gap, ...]:
    """How much more diverse a row is than others, each with a kind; p-values are adjusted for their number."""
    rivals = [_rival(scores, row, kind, other) for kind, other in others]
    adjusted = adjusted_tests([rival.differences for rival in rivals], seed=scores.seed)
    return tuple(_gap(scores, rival, float(p)) for rival, p in zip(rivals, adjusted, strict=True))


def ahead(scores: RangeScores, row: int) -> tuple[Gap, ...]:
    """The rivals of a range that are better: confirmed to be more diverse, and not shown to be less valid.

    Their validity may lie below the range's own, but not below its interval (ours). Where the best soup is too costly,
    the most diverse of the others that is not takes its place.
    """
    least = evidence(scores, row).kept.low
    found = tuple(gap for gap in gaps(scores, row)[1:] if gap.state == "less" and gap.kept >= least)
    return found if any(gap.kind == "soup" for gap in found) else (*found, *_other_soup(scores, row, least))


def _other_soup(scores: RangeScores, row: int, least: float) -> list[Gap]:
    """The most diverse soup that is ahead of a range, if any; tests are adjusted for the number of soups."""
    found = gaps_between(scores, row, [("soup", int(i)) for i in scores.rows("soup") if scores.measured[i]])
    better = [gap for gap in found if gap.kept >= least and gap.state == "less"]
    return sorted(better, key=lambda gap: gap.difference.value)[:1]


def own_controls(scores: RangeScores, row: int) -> Sequence[str]:
    """Kinds of controls that are the very blocks of the range: it is itself the first blocks, or the last."""
    blocks = scores.recipes[row].restored_blocks
    return [
        kind for kind in ("early", "late") for i in scores.rows(kind) if scores.recipes[i].restored_blocks == blocks
    ]


def choose(scores: RangeScores) -> Choice:
    """The best range of a ranking, where it keeps the floor, passes all guards and gains anything.

    All are judged on the selection prompts alone, so that held-out prompts play no part in any choice. There may be no
    such range.
    """
    best = int(scores.order[0])
    if not scores.changed.any():
        return Choice(None, "base and tuned are equal in every block")
    excluded = _excluded(scores)
    lost = (None, ()) if excluded is None else (scores.ranges[excluded], scores.excluded_by(excluded))
    if not scores.feasible[best]:
        return Choice(None, reason(scores, "unmet"), None, *lost)
    if not scores.value[best] > scores.value[scores.tuned] + EQUAL:
        return Choice(None, reason(scores, "no gain"), None, *lost)
    return Choice(scores.ranges[best], reason(scores, "best"), gaps(scores, best)[0], *lost)


def _excluded(scores: RangeScores) -> int | None:
    """Row of the range that is best by the floor on validity alone, where guards exclude it."""
    rows = np.array([row for row in scores.order if scores.keeps_floor[row]], dtype=int)
    if not scores.judge.asked or not len(rows):
        return None
    best = int(rows[scores.value[rows].argmax()])
    return best if scores.excluded_by(best) else None


def stability(share: float) -> Stability:
    """How firm a choice is that is made again in this share of resamples; unknown where it was not drawn again."""
    if not np.isfinite(share):
        return "unknown"
    return "stable" if share >= _STABLE else "moderately stable" if share >= _MODERATE else "not stable"


@dataclass(frozen=True)
class _Rival:
    kind: str
    differences: np.ndarray
    held_out: bool
    kept: float
    temperature: float = float("nan")
    other: int | None = None


def _rival(scores: RangeScores, row: int, kind: str, other: int) -> _Rival:
    kept = float(scores.means("kept", held_out=both_held_out(scores, other))[other])
    return _Rival(kind, _differences(scores, row, other), both_held_out(scores, row, other), kept, other=other)


def _warmer(scores: RangeScores, row: int) -> list[_Rival]:
    """Tuned at equal validity, where some temperature gives that."""
    held_out = both_held_out(scores, row)
    found = warmer(scores, row, held_out=held_out)
    if found is None:
        return []
    own, validity = scores.diversity[row], scores.validity
    if held_out:
        own, validity = scores.held_diversity[row], scores.held_validity
    kept = float(found.validity.mean() / validity[scores.tuned].mean())
    return [_Rival("warmer", own - found.diversity, held_out, kept, found.temperature)]


def _gap(scores: RangeScores, rival: _Rival, adjusted: float) -> Gap:
    difference = _estimate(scores, rival.differences, held_out=rival.held_out)
    state = difference_state(difference.low, difference.high, adjusted, scores.level)
    keeps = bool(rival.kept >= scores.floor)
    prompts = int(np.isfinite(rival.differences).sum())
    return Gap(rival.kind, difference, adjusted, state, rival.kept, keeps, rival.temperature, prompts, rival.other)


def both_held_out(scores: RangeScores, *rows: int) -> bool:
    """Whether there are held-out prompts on which all these rows were scored."""
    held = scores.held_diversity[list(rows)]
    return bool(held.shape[1]) and bool(np.isfinite(held).all())


def _differences(scores: RangeScores, row: int, other: int) -> np.ndarray:
    values = scores.held_diversity if both_held_out(scores, row, other) else scores.diversity
    return np.asarray(values[row] - values[other])


def _floor_state(kept: Estimate, floor: float) -> FloorState:
    if kept.low >= floor:
        return "above"
    if kept.value >= floor:
        return "perhaps above"
    return "below" if kept.high < floor else "perhaps below"

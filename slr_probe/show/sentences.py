"""What the numbers support, in plain language.

A difference whose interval holds zero is "not shown". One that leaves zero out is "not confirmed" unless its sign-flip
test, adjusted by Holm's method for the comparisons of this verdict, agrees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slr_probe.layers import LayerRange
from slr_probe.rank.choice import Choice
from slr_probe.show.format import listed
from slr_probe.stats import difference_interval
from slr_probe.stats.compare import holm, sign_flip_test

if TYPE_CHECKING:
    from slr_probe.rank.ranking import RangeRanking


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; `low` and `high` are NaN where there is none."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if not np.isfinite(self.low):
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def signed(self, digits: int = 3) -> str:
        """The number and its interval, each with its sign."""
        return f"{self.value:+.{digits}f} [{self.low:+.{digits}f}, {self.high:+.{digits}f}]"

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
    """

    held_out: bool
    prompts: int
    validity: Estimate
    diversity: Estimate
    gain: Estimate
    kept: Estimate


def evidence(ranking: RangeRanking, row: int) -> Evidence:
    """Scores of a row: on held-out prompts where it was scored on them, else on those it was chosen on."""
    held = bool(ranking.held_validity.shape[1]) and bool(np.isfinite(ranking.held_validity[row]).all())
    found = {name: ranking.interval(name, held_out=held) for name in ("validity", "diversity", "gain", "kept")}
    values = ranking.held_validity if held else ranking.validity
    parts = {k: Estimate(float(v.estimate[row]), float(v.low[row]), float(v.high[row])) for k, v in found.items()}
    return Evidence(held, values.shape[1], **parts)


@dataclass(frozen=True)
class Gap:
    """The hybrid's diversity above another model's.

    Attributes:
        name: The other model, in words.
        found: The difference.
        p: P-value of the sign-flip test, adjusted for the other gaps of the verdict.
        confirmed: Whether interval and test agree that there is a difference.
        kept: Share of tuned's validity that the other model keeps.
    """

    name: str
    found: Estimate
    p: float
    confirmed: bool
    kept: float


def compare(ranking: RangeRanking, row: int, other: int) -> Estimate:
    """Diversity of one row above another's, paired over prompts, held out where both were scored so."""
    held = _use_held(ranking, row, other)
    values = ranking.held_diversity if held else ranking.diversity
    strata = (ranking.held_categories if held else ranking.categories) or None
    found = difference_interval(values[[row]], values[other], level=ranking.level, resamples=ranking.resamples,
                                seed=ranking.seed, strata=strata)  # fmt: skip
    return Estimate(float(found.estimate[0]), float(found.low[0]), float(found.high[0]))


def _use_held(ranking: RangeRanking, row: int, other: int) -> bool:
    held = ranking.held_diversity
    return bool(held.shape[1]) and bool(np.isfinite(held[[row, other]]).all())


def gaps(ranking: RangeRanking, row: int) -> list[Gap]:
    """What the hybrid is compared with: tuned, then the controls that are other blocks, and the best soup."""
    same = ranking.recipes[row].restored_blocks
    rows = [("tuned", int(ranking.rows("tuned")[0]))]
    rows += [(_RIVALS[kind], int(i)) for kind in ("early", "late") for i in ranking.rows(kind)
             if ranking.recipes[i].restored_blocks != same]  # fmt: skip
    if ranking.best_soup is not None:
        rows.append((_RIVALS["soup"], ranking.best_soup))
    raw = []
    for _, other in rows:
        values = ranking.held_diversity if _use_held(ranking, row, other) else ranking.diversity
        raw.append(float(sign_flip_test(values[row] - values[other], seed=ranking.seed)))
    return [
        Gap(name, found, float(p), bool(found.sign) and bool(p <= 1 - ranking.level + 1e-12),
            evidence(ranking, other).kept.value)
        for (name, other), p in zip(rows, holm(np.array(raw)), strict=True)
        for found in [compare(ranking, row, other)]
    ]  # fmt: skip


def sentences(ranking: RangeRanking, choice: Choice) -> list[str]:
    """The verdict on the ranking, sentence by sentence."""
    tuned, base = int(ranking.rows("tuned")[0]), [int(i) for i in ranking.rows("base")]
    said = [_collapse(ranking, tuned, base[0] if base else None)]
    if choice.layers is None:
        return [*said, *_nothing(ranking, choice)]
    row = ranking.index(choice.layers)
    found = gaps(ranking, row)
    return [*said, *_hybrid(ranking, row, found), _standing(ranking, row, found[1:]), _stability(ranking, row)]


def blocks_of(layers: LayerRange) -> str:
    """A range in words.

    Examples:
        >>> blocks_of(LayerRange("8:14")), blocks_of(LayerRange("3:4"))
        ('blocks 8 to 13', 'block 3')
    """
    return f"block {layers.start}" if layers.width == 1 else f"blocks {layers.start} to {layers.stop - 1}"


def _collapse(ranking: RangeRanking, tuned: int, base: int | None) -> str:
    one = evidence(ranking, tuned)
    where = f"On {one.prompts} {'held-out ' if one.held_out else ''}prompts that ask for a random choice"
    if base is None:
        return f"{where}, the tuned model's answers reach {one.diversity.value:.0%} of the possible diversity."
    other = evidence(ranking, base)
    level = f"{one.diversity.value:.0%} of the possible diversity where base reaches {other.diversity.value:.0%}"
    plain = ranking.settings.get("base_plain")
    if plain:
        level += f" (on plain versions of the selection prompts {plain['diversity']:.0%})"
    if other.gain.sign > 0:
        return f"{where}, the tuned model reaches {level}: diversity was lost."
    if other.gain.sign < 0:
        return f"{where}, the tuned model reaches {level}: here post-training lost no diversity."
    return f"{where}, the tuned model reaches {level}; a loss of diversity is not shown (the interval holds zero)."


def _nothing(ranking: RangeRanking, choice: Choice) -> list[str]:
    near = int(ranking.order[0])
    found = evidence(ranking, near)
    return [
        f"No range is recommended: {choice.why}.",
        f"The nearest is {ranking.ranges[near]}, with diversity {found.diversity} and "
        f"{found.kept.value:.0%} of tuned's validity. Nothing was restored.",
    ]


def _hybrid(ranking: RangeRanking, row: int, compared: list[Gap]) -> list[str]:
    found, test = evidence(ranking, row), compared[0]
    where = "" if found.held_out else " on the prompts it was chosen on (so this is optimistic)"
    change = f"from {found.diversity.value - found.gain.value:.3f} to {found.diversity.value:.3f}{where}"
    span = found.gain.signed()
    if test.confirmed:
        gain = f"{'raises' if found.gain.sign > 0 else 'lowers'} diversity {change}, by {span}"
    elif found.gain.sign:
        gain = (f"moves diversity {change}, by {span}, which is not confirmed once adjusted for the {len(compared)} "
                f"comparisons made here (p = {test.p:.2g})")  # fmt: skip
    else:
        gain = f"moves diversity {change}; a gain is not shown, as the interval of the change, {span}, holds zero"
    kept = f"{found.kept.value:.0%} [{found.kept.low:.0%}, {found.kept.high:.0%}] of tuned's validity"
    if found.kept.low >= ranking.floor:
        floor = f"It keeps {kept}, above the floor of {ranking.floor:.0%}."
    elif found.kept.value >= ranking.floor:
        floor = f"It keeps {kept}; that it stays above the floor of {ranking.floor:.0%} is not shown."
    elif found.kept.high >= ranking.floor:
        floor = f"It keeps {kept}: on these prompts the estimate is below the floor of {ranking.floor:.0%}."
    else:
        floor = f"It keeps only {kept}: it fails the floor of {ranking.floor:.0%} on these prompts."
    return [f"Setting {blocks_of(ranking.ranges[row])} back to base {gain}.", floor]


_RIVALS = {
    "early": "the first blocks of equal width",
    "late": "the last blocks of equal width",
    "soup": "the best uniform soup",
}
_WORDS = {
    (1, True): "it is more diverse than {}",
    (-1, True): "it is less diverse than {}",
    (1, False): "that it is more diverse than {} is not confirmed once adjusted for the number of comparisons",
    (-1, False): "that it is less diverse than {} is not confirmed once adjusted for the number of comparisons",
    (0, False): "no difference in diversity is shown to {}",
}


def _standing(ranking: RangeRanking, row: int, compared: list[Gap]) -> str:
    by: dict[tuple[int, bool], list[str]] = {key: [] for key in _WORDS}
    for gap in compared:
        kept = "" if gap.kept >= ranking.floor else f" (which keeps only {gap.kept:.0%} of validity)"
        by[gap.found.sign, gap.confirmed].append(gap.name + kept)
    said = [_WORDS[key].format(listed(names)) for key, names in by.items() if names]
    same = [kind for kind in ("early", "late") for other in ranking.rows(kind)
            if ranking.recipes[other].restored_blocks == ranking.recipes[row].restored_blocks]  # fmt: skip
    said += [f"it is itself {_RIVALS[kind]}" for kind in same]
    return f"Against controls, {'; '.join(said)}." if said else ""


def rivals(ranking: RangeRanking, row: int) -> str:
    """The differences in diversity to controls and soup, with intervals."""
    said = [f"{gap.found.signed()} to {gap.name} (adjusted p = {gap.p:.2g})" for gap in gaps(ranking, row)[1:]]
    where = "on held-out prompts" if evidence(ranking, row).held_out else "on the selection prompts"
    return f"Its diversity differs, {where}, by {listed(said)}." if said else ""


def _stability(ranking: RangeRanking, row: int) -> str:
    share = float(ranking.p_best[row])
    if not np.isfinite(share):
        return ""
    word = "is stable" if share >= 0.8 else "is moderately stable" if share >= 0.4 else "is not stable"
    return f"The choice {word}: drawn again from the same prompts, this range is best in {share:.0%} of resamples."

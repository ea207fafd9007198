"""The verdict on a ranking in plain language: it prints what `rank` decided and decides nothing.

A difference whose interval holds zero is "not shown". One that leaves zero out is "not confirmed" unless its paired
test, adjusted by Holm's method for the comparisons of this verdict, agrees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slr_probe.layers import LayerRange
from slr_probe.rank.compare import Choice, Estimate, Evidence, Gap, evidence, own_controls
from slr_probe.show.words.cost import cost_sentence
from slr_probe.show.words.dominant import OTHERS, better_in_both, rival
from slr_probe.show.words.format import listed, p_clause, with_limits
from slr_probe.show.words.guards import excluded, instead
from slr_probe.show.words.near import blocks_of, steadiness
from slr_probe.stats.compare import FEWEST_PROMPTS, State

if TYPE_CHECKING:
    from slr_probe.rank.ranking import RangeRanking

_NOT_CONFIRMED = "is not confirmed once adjusted for the number of comparisons"
_STANDING: dict[State, str] = {
    "more": "it is more diverse than {}",
    "less": "it is less diverse than {}",
    "more?": f"that it is more diverse than {{}} {_NOT_CONFIRMED}",
    "less?": f"that it is less diverse than {{}} {_NOT_CONFIRMED}",
    "same": "no difference in diversity is shown to {}",
    "undefined": "diversity cannot be compared with {}",
}


def sentences(ranking: RangeRanking, choice: Choice) -> list[str]:
    """The verdict on the ranking, sentence by sentence."""
    said = [_collapse(ranking)]
    if choice.layers is None:
        return [*said, *_nothing(ranking, choice)]
    row = ranking.index(choice.layers)
    compared = ranking.gaps(choice.layers)
    found = evidence(ranking, row)
    return [
        *said,
        f"Setting {blocks_of(choice.layers)} back to base {_gain(found, compared)}.{few_prompts(compared[0].prompts)}",
        _floor(found, ranking.floor),
        *_sentence(excluded(ranking, choice)),
        _standing(ranking, row, compared[1:]),
        *filter(None, [better_in_both(ranking, choice.layers)]),
        *([cost_sentence(ranking)] if ranking.cost is not None and ranking.cost.row == row else []),
        steadiness(ranking, choice.layers),
    ]


def few_prompts(count: int) -> str:
    """A sentence where there are too few prompts for more than a hint.

    Examples:
        >>> few_prompts(4), few_prompts(40)
        (' From fewer than 10 prompts, this is exploratory.', '')
    """
    return f" From fewer than {FEWEST_PROMPTS} prompts, this is exploratory." if count < FEWEST_PROMPTS else ""


def rivals(ranking: RangeRanking, layers: LayerRange) -> str:
    """The differences in diversity to controls and soup, with intervals."""
    said = [
        f"{as_text(gap.difference, '+.3f')} to {rival(ranking, gap)} ({p_clause(gap.p, 'adjusted p')})"
        for gap in ranking.gaps(layers)[1:]
    ]
    held_out = evidence(ranking, ranking.index(layers)).held_out
    where = "on held-out prompts" if held_out else "on the selection prompts"
    return f"Its diversity differs, {where}, by {listed(said)}." if said else ""


def as_text(number: Estimate, spec: str = ".3f") -> str:
    """A number with its interval, where it has one."""
    return with_limits(number.value, number.low, number.high, spec)


def _collapse(ranking: RangeRanking) -> str:
    tuned = evidence(ranking, ranking.tuned)
    prompts = f"{tuned.prompts} {'held-out ' if tuned.held_out else ''}prompts"
    where = f"On {prompts} that ask for a random choice"
    bases = ranking.rows("base")
    if not len(bases):
        return f"{where}, the tuned model's answers reach {tuned.diversity.value:.0%} of the possible diversity."
    base = evidence(ranking, int(bases[0]))
    level = f"{tuned.diversity.value:.0%} of the possible diversity where base reaches {base.diversity.value:.0%}"
    plain = ranking.settings.get("base_plain")
    if plain:
        level += f" (on plain versions of the selection prompts {plain['diversity']:.0%})"
    loss = {
        1: ": diversity was lost.",
        -1: ": here post-training lost no diversity.",
        0: "; a loss of diversity is not shown (the interval holds zero).",
    }
    shown = loss[base.gain.sign] if base.gain.bounded else "; so few prompts have no interval, so no loss is shown."
    return f"{where}, the tuned model reaches {level}{shown}"


def _nothing(ranking: RangeRanking, choice: Choice) -> list[str]:
    said = [f"No range is recommended: {choice.why}."]
    if ranking.changed.any():
        found = evidence(ranking, int(ranking.order[0]))
        first = "The first of them" if ranking.meets_floor else "The nearest"
        said.append(
            f"{first} is {ranking.best}, with diversity {as_text(found.diversity)} and {found.kept.value:.0%} of "
            "tuned's validity."
        )
    also = [*_sentence(excluded(ranking, choice)), *_sentence(instead(ranking))] if ranking.changed.any() else []
    return [*said, "Nothing was restored.", *also]


def _sentence(clause: str) -> list[str]:
    return [f"{clause[:1].upper()}{clause[1:]}."] if clause else []


def _gain(found: Evidence, compared: tuple[Gap, ...]) -> str:
    where = "" if found.held_out else " on the prompts it was chosen on (so this is optimistic)"
    change = f"from {found.diversity.value - found.gain.value:.3f} to {found.diversity.value:.3f}{where}"
    span = as_text(found.gain, "+.3f")
    tuned = compared[0]
    if tuned.confirmed:
        return f"{'raises' if tuned.state == 'more' else 'lowers'} diversity {change}, by {span}"
    if tuned.state in ("more?", "less?"):
        return (
            f"moves diversity {change}, by {span}, which is not confirmed once adjusted for the {len(compared)} "
            f"comparisons made here ({p_clause(tuned.p)})"
        )
    if tuned.state == "undefined":
        return f"moves diversity {change}, by {span}; so few prompts have no interval, so a gain is not shown"
    return f"moves diversity {change}; a gain is not shown, as the interval of the change, {span}, holds zero"


def _floor(found: Evidence, floor: float) -> str:
    kept = f"{as_text(found.kept, '.0%')} of tuned's validity"
    return {
        "above": f"It keeps {kept}, above the floor of {floor:.0%}.",
        "perhaps above": f"It keeps {kept}; that it stays above the floor of {floor:.0%} is not shown.",
        "perhaps below": f"It keeps {kept}: on these prompts the estimate is below the floor of {floor:.0%}.",
        "below": f"It keeps only {kept}: it fails the floor of {floor:.0%} on these prompts.",
    }[found.floor]


def _standing(ranking: RangeRanking, row: int, compared: tuple[Gap, ...]) -> str:
    by: dict[State, list[str]] = {state: [] for state in _STANDING}
    for gap in compared:
        kept = "" if gap.keeps_floor else f" (which keeps only {gap.kept:.0%} of validity)"
        by[gap.state].append(rival(ranking, gap) + kept)
    said = [_STANDING[state].format(listed(names)) for state, names in by.items() if names]
    said += [f"it is itself {OTHERS[kind]}" for kind in own_controls(ranking, row)]
    return f"Against controls, {'; '.join(said)}." if said else ""

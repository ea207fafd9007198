"""What is said of baselines that beat a range in diversity and in validity at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slr_probe.rank.compare import Gap, both_held_out
from slr_probe.rank.findings.dominant import dominant
from slr_probe.show.words.format import listed
from slr_probe.show.words.near import blocks_of

if TYPE_CHECKING:
    from slr_probe.layers import LayerRange
    from slr_probe.rank.ranking import RangeRanking

OTHERS = {
    "tuned": "tuned",
    "base": "base itself",
    "full": "all blocks restored",
    "early": "the first blocks of equal width",
    "late": "the last blocks of equal width",
    "warmer": "tuned at the temperature of equal validity",
}


def rival(ranking: RangeRanking, gap: Gap) -> str:
    """What a range is compared with; a soup is named by its share of tuned."""
    if gap.other is None or gap.kind in OTHERS:
        return OTHERS[gap.kind]
    return f"uniform soup {_share(ranking, gap):g}" if gap.kind == "soup" else "a random set of equal width"


def better_in_both(ranking: RangeRanking, layers: LayerRange) -> str:
    """Which baselines are more diverse and more valid than a range, with the numbers of one; empty where none is."""
    row = ranking.index(layers)
    found = dominant(ranking, row)
    if not found:
        return ""
    one = _example(ranking, found)
    other = one.other
    assert other is not None
    held_out = both_held_out(ranking, row, other)
    diversity, kept = (ranking.means(what, held_out=held_out) for what in ("diversity", "kept"))
    where = "On held-out prompts" if held_out else "On the prompts of the choice"
    doubt = "" if one.confirmed else ", which is not confirmed after adjustment"
    return (
        f"More diverse and more valid at once than {blocks_of(layers)} set back to base: {_names(ranking, found)}. "
        f"{where}, {rival(ranking, one)}: {diversity[other]:.0%} of the possible diversity instead of "
        f"{diversity[row]:.0%}{doubt}, and {kept[other]:.0%} of tuned's validity instead of {kept[row]:.0%}; "
        f"{_advice(ranking, other)}."
    )


def _advice(ranking: RangeRanking, other: int) -> str:
    failed = ranking.excluded_by(other)
    if not failed:
        return "consider that instead"
    return f"the guard{'s' * (len(failed) > 1)} on {listed(failed)} exclude{'s' * (len(failed) == 1)} it"


def _example(ranking: RangeRanking, found: tuple[Gap, ...]) -> Gap:
    """The most diverse of those that guards allow and tests confirm, as far as there are such."""
    return min(found, key=lambda gap: (bool(ranking.excluded_by(gap.other or 0)), not gap.confirmed))


def _names(ranking: RangeRanking, found: tuple[Gap, ...]) -> str:
    soups = sorted(_share(ranking, gap) for gap in found if gap.kind == "soup")
    drawn = [gap for gap in found if gap.kind == "random"]
    names = []
    if soups:
        names.append(f"uniform soup{f's {soups[0]:g} to' if len(soups) > 1 else ''} {soups[-1]:g}")
    if drawn:
        names.append(f"{len(drawn)} random sets of equal width" if len(drawn) > 1 else rival(ranking, drawn[0]))
    return listed([*names, *(OTHERS[gap.kind] for gap in found if gap.kind in OTHERS)])


def _share(ranking: RangeRanking, gap: Gap) -> float:
    return float(ranking.recipes[gap.other or 0].blocks[0].default)

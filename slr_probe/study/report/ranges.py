"""What the page says of the ranges: key figures, why this one, and the scores of the best beside their rivals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from slr_probe.rank.compare import Choice, Evidence, evidence
from slr_probe.show.words.cost import cost_sentence
from slr_probe.show.words.format import number
from slr_probe.show.words.near import blocks_of
from slr_probe.show.words.sentences import as_text, rivals
from slr_probe.study.report.figures import cost, heat_maps, spread, trade_off
from slr_probe.study.report.tables import Table, TableRow

if TYPE_CHECKING:
    from slr_probe.rank.ranking import RangeRanking

_REFERENCES = {
    "tuned": "tuned",
    "base": "base",
    "full": "all blocks restored",
    "early": "early, equal width",
    "late": "late, equal width",
}
_HELD_OUT = (
    "Ranges are half-open and counted from 0. The choice was made on the selection prompts alone; what is claimed "
    "above is from the held-out prompts."
)
_NOT_HELD_OUT = "There are no held-out prompts, so the scores of the chosen range are optimistic."


def section(ranking: RangeRanking, choice: Choice) -> dict[str, Any]:
    """All that the page says of a ranking."""
    held_out = ranking.prompts(held_out=True)
    plain = ranking.settings.get("base_plain")
    return {
        "prompts": f"{ranking.prompts(held_out=False)} selection and {held_out} held-out prompts",
        "figures": key_figures(ranking, choice),
        "why": _why(ranking, choice),
        "scores": score_table(ranking, choice),
        "maps": heat_maps(ranking, choice.layers),
        "tradeoff": trade_off(ranking, choice.layers),
        "cost": cost(ranking),
        "cost_words": cost_sentence(ranking),
        "spread": spread(ranking),
        "selection": ranking.prompts(held_out=False),
        "floor": f"{ranking.floor:g}",
        "chosen": choice.layers,
        "base_plain": {name: f"{value:.3f}" for name, value in plain.items()} if plain else None,
    }


def asked(examples: Sequence[dict[str, Any]]) -> str:
    """What the model is asked, by a few prompts; empty where none were kept."""
    said = "; ".join(f"“{one['prompt']}” ({one['answers']} right answers)" for one in examples)
    return f"Prompts of the choice are such as {said}." if said else ""


def key_figures(ranking: RangeRanking, choice: Choice) -> list[dict[str, str]]:
    """The few numbers that a reader sees first; each has a name, a value and a note."""
    if choice.layers is None:
        none = _figure("Range to restore", "none", choice.why)
        if ranking.meets_floor:
            return [none]
        nearest = evidence(ranking, int(ranking.order[0])).kept.value
        return [none, _figure("Nearest", str(ranking.best), f"keeps {nearest:.0%} of tuned’s validity")]
    row = ranking.index(choice.layers)
    found = evidence(ranking, row)
    where, kept = "held out" if found.held_out else "selection prompts", found.kept
    span = f"[{kept.low:.0%}, {kept.high:.0%}]" if kept.bounded else "without an interval,"
    figures = [
        _figure("Range set back to base", str(choice.layers), f"{blocks_of(choice.layers)} of {ranking.depth}"),
        _figure("Diversity", _rise(found), f"change {as_text(found.gain, '+.3f')}, {where}"),
        _figure("Validity kept", f"{kept.value:.0%}", f"{span} of tuned, {where}".strip()),
    ]
    share = number(ranking.p_best[row], ".0%")
    return [*figures, _figure("Stability of the choice", share, "of resamples choose this range")] if share else figures


def score_table(ranking: RangeRanking, choice: Choice) -> Table:
    """The chosen range, the next best, references and controls, with intervals."""
    selection, held_out = ranking.prompts(held_out=False), ranking.prompts(held_out=True)
    caption = f"Scores on {selection} selection prompts"
    columns = ["", "validity", "diversity"]
    if held_out:
        caption += (
            f" (where the choice was made) and on {held_out} held-out prompts, with {ranking.level:.0%} intervals"
        )
        columns += ["held-out validity", "held-out diversity", "gain over tuned"]
    caption += ". p(best): share of resamples in which a range is the best."
    rows = []
    for name, row in _compared(ranking, choice):
        tested = _tested(evidence(ranking, row), is_tuned=row == ranking.tuned) if held_out else []
        share = number(ranking.p_best[row], ".0%") if row < len(ranking.ranges) else ""
        cells = [name, f"{ranking.mean_validity[row]:.3f}", f"{ranking.mean_diversity[row]:.3f}", *tested, share]
        rows.append(TableRow(tuple(cells), "chosen" if name.startswith("chosen") else ""))
    return Table(caption, (*columns, "p(best)"), rows)


def _figure(name: str, value: str, note: str) -> dict[str, str]:
    return {"name": name, "value": value, "note": note}


def _rise(found: Evidence) -> str:
    return f"{found.diversity.value - found.gain.value:.3f} → {found.diversity.value:.3f}"


def _why(ranking: RangeRanking, choice: Choice) -> str:
    """Why this range, where that is known from, and how it compares with its rivals."""
    head = "None" if choice.layers is None else f"Blocks {choice.layers} of {ranking.depth}"
    where = _HELD_OUT if ranking.prompts(held_out=True) else _NOT_HELD_OUT
    against = rivals(ranking, choice.layers) if choice.layers is not None else ""
    return f"{head}: {choice.why}. {where} {against}".strip()


def _compared(ranking: RangeRanking, choice: Choice) -> Iterator[tuple[str, int]]:
    """Name and row of everything in the table of scores."""
    chosen = None if choice.layers is None else ranking.index(choice.layers)
    if chosen is not None:
        yield f"chosen, {choice.layers}", chosen
    first = [int(row) for row in ranking.order[:4] if int(row) != chosen and ranking.measured[int(row)]]
    for row in first[:3]:
        yield f"range {ranking.ranges[row]}", row
    for kind, name in _REFERENCES.items():
        for row in ranking.rows(kind)[:1]:
            yield name, int(row)
    if ranking.best_soup is not None:
        yield f"soup {ranking.recipes[ranking.best_soup].blocks[0].default:g}, the best", ranking.best_soup


def _tested(found: Evidence, *, is_tuned: bool) -> list[str]:
    """Scores on the held-out prompts; empty for rows that were not tested there."""
    if not found.held_out:
        return ["", "", ""]
    return [as_text(found.validity), as_text(found.diversity), "" if is_tuned else as_text(found.gain, "+.3f")]

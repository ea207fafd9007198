"""A `RangeRanking` as text, table and figure."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.rank.candidates import WIDER
from slr_probe.rank.compare import estimates
from slr_probe.rank.scores import VERIFIED
from slr_probe.show.charts.canvas import open_canvas
from slr_probe.show.charts.style import COLOURS, open_frame, whole_numbers
from slr_probe.show.words.cost import cost_sentence
from slr_probe.show.words.format import html_table, html_text, model_name, number, numbers, p_clause, with_limits
from slr_probe.show.words.guards import excluded, guard_lines, instead
from slr_probe.show.words.near import steadiness
from slr_probe.show.words.race import race_lines
from slr_probe.show.words.sentences import as_text
from slr_probe.show.words.split import split_lines
from slr_probe.show.words.wider import wider_lines
from slr_probe.stats.compare import State

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from slr_probe.rank.ranking import RangeRanking
    from slr_probe.recipe import Recipe

GAINS: dict[State, str] = {
    "more": "confirmed",
    "more?": "not confirmed",
    "same": "not shown: the interval holds zero",
    "less?": "not shown: the interval is below zero",
    "less": "not shown: the interval is below zero",
    "undefined": "without an interval",
}
"""What is said of a gain over tuned."""
_SPANS = ("validity", "diversity", "gain")
_REFERENCES = ("tuned", "base", "full", "early", "late")


def text(ranking: RangeRanking) -> str:
    """A few lines: the scores, beside what, what to restore, and how sure that is."""
    n = len(ranking.ranges)
    measured = int(ranking.measured[:n].sum())
    lines = [
        f"RangeRanking: {n} ranges of {ranking.depth} blocks by '{ranking.method}', {measured} measured, floor "
        f"{ranking.required_validity:.3f} ({ranking.floor:g} x tuned)"
    ]
    if not ranking.meets_floor:
        lines.append(f"  {'NO RANGE' if ranking.judge.asked else 'FLOOR NOT MET'}: {_unmet(ranking)}")
    lines += [*_scores(ranking, held_out=False), *_scores(ranking, held_out=True)]
    lines += [*race_lines(ranking), *_ended(ranking), *guard_lines(ranking), *_choice(ranking)]
    lines += [*wider_lines(ranking), *split_lines(ranking)]
    cost = cost_sentence(ranking)
    lines += [f"  cost    {cost[:1].lower()}{cost[1:].removesuffix('.')}"] if cost else []
    return "\n".join(lines + [f"  note    {note}" for note in ranking.notes])


def html(ranking: RangeRanking) -> str:
    """The text and the first rows of the table, for Jupyter."""
    columns = ["rank", "kind", "recipe", "validity", "diversity", "gain_low", "gain_high"]
    columns += ["held_validity", "held_diversity", "p_best", "pareto"]
    columns += ["ending", "surprise", "spread", "excluded_by"] if ranking.judge.asked else []
    frame = ranking.to_dataframe()
    best = frame["recipe"].isin([str(found.recipe) for found in ranking.wider])
    shown = frame[(frame["rank"] <= 10) | ~frame["kind"].isin(["range", "soup", *WIDER]) | best][columns]
    shown = shown.assign(rank=shown["rank"].astype(str).where(shown["rank"].notna(), ""))
    return html_text(text(ranking)) + html_table(shown, ".3f", max_rows=None)


def lines(ranking: RangeRanking, top: int) -> tuple[list[str], list[list[str]]]:
    """Header and cells of a table for the terminal: the first ranges, then controls of equal width."""
    frame = ranking.to_dataframe()
    best = frame["recipe"].isin([str(found.recipe) for found in ranking.wider])
    shown = frame[(frame["rank"] <= top) | frame["kind"].isin(["early", "late", "random"]) | best]
    cells = [_cells(row, ranking.depth) for row in shown.to_dict(orient="records")]
    ended = ["given and ended"] if ranking.ended_validity.size else []
    guarded = ["excluded by"] if ranking.judge.asked else []
    return ["rank", "blocks", *_SPANS, "held-out val.", "held-out div.", "p(best)", *ended, *guarded], cells


def _cells(row: Any, depth: int) -> list[str]:
    blocks = str(row["recipe"]).removeprefix("restore ").removesuffix(f" of {depth}")
    cells = [str(row["rank"]) if row["kind"] == "range" else row["kind"], blocks]
    cells += [with_limits(row[name], row[f"{name}_low"], row[f"{name}_high"], limits=".2f") for name in _SPANS]
    cells += numbers((row[name] for name in ("held_validity", "held_diversity", "p_best")), ".3f")
    cells += numbers([row["ended_validity"]], ".3f") if "ended_validity" in row else []
    return cells + ([row["excluded_by"]] if "excluded_by" in row else [])


def _unmet(ranking: RangeRanking) -> str:
    if ranking.method in VERIFIED and ranking.judge.asked:
        return f"no measured range keeps the floor and passes all guards; {ranking.best} comes nearest"
    if ranking.method in VERIFIED:
        return "no measured range keeps that much validity; best is the one that comes nearest"
    return f"'{ranking.method}' does not measure before it proposes; take method='guided' or 'sweep'"


def _choice(ranking: RangeRanking) -> list[str]:
    choice = ranking.choice
    beside = [f"          {said}" for said in (excluded(ranking, choice),) if said]
    if choice.layers is None or choice.gain is None:
        other = instead(ranking)
        return [f"  choice  restore nothing: {choice.why}", *([f"          {other}"] if other else []), *beside]
    gain = choice.gain
    said = f"gain over tuned {as_text(gain.difference, '+.3f')}, {GAINS[gain.state]}"
    if isfinite(gain.p):
        said += f" ({p_clause(gain.p, 'adjusted p')})"
    if gain.exploratory:
        said += f"; exploratory: {gain.prompts} prompts"
    verb = "restore " if choice.confirmed else ""
    steady = [f"          {line}" for line in (steadiness(ranking, choice.layers),) if line]
    return [f"  choice  {verb}{choice.layers}: {choice.why}", f"          {said}", *steady, *beside]


def _scores(ranking: RangeRanking, *, held_out: bool) -> list[str]:
    """Header and a line a model; nothing where there are no such prompts."""
    means = ranking.means("validity", held_out=held_out)
    shown = {name: row for name, row in _shown(ranking).items() if isfinite(means[row])}
    if not shown:
        return []
    where = f"{ranking.prompts(held_out=held_out)} {'held-out' if held_out else 'selection'} prompts"
    lines = [f"  {where:<22}{'validity':<22}{'diversity':<22}{'' if held_out else 'p(best)'}"]
    rows = list(shown.values())
    validity, diversity = (estimates(ranking, what, rows, held_out=held_out) for what in ("validity", "diversity"))
    for (name, row), one, other in zip(shown.items(), validity, diversity, strict=True):
        share = "" if held_out or row >= len(ranking.ranges) else number(ranking.p_best[row], ".2f")
        lines.append(f"  {name:<22}{as_text(one):<22}{as_text(other):<22}{share}")
    return [line.rstrip() for line in lines]


def _ended(ranking: RangeRanking) -> list[str]:
    """How likely replies are nothing but an answer; none where that was not read."""
    if not ranking.ended_validity.size:
        return []
    means = ranking.ended_validity.mean(axis=1)
    said = [f"{name} {means[row]:.3f}" for name, row in _shown(ranking).items() if isfinite(means[row])]
    return [f"  ended   an answer and nothing after it: {', '.join(said)}"]


def _shown(ranking: RangeRanking) -> dict[str, int]:
    rows = {f"best {ranking.best}": int(ranking.order[0])}
    rows |= {kind: int(row) for kind in _REFERENCES for row in ranking.rows(kind)[:1]}
    if ranking.best_soup is not None:
        rows[f"soup {ranking.recipes[ranking.best_soup].blocks[0].default:g}"] = ranking.best_soup
    return rows | {f"{found.family} {_span(found.recipe)}": found.row for found in ranking.wider}


def _span(recipe: Recipe) -> str:
    return f"{recipe.restored_blocks[0]}:{recipe.restored_blocks[-1] + 1}"


def figure(ranking: RangeRanking, **look: Any) -> Figure:
    """Heat maps of validity and diversity over start and stop, and the trade-off with its Pareto front.

    The white line in the maps bounds the ranges that meet the floor; the frame marks the best. For methods that score
    blocks, the maps are replaced by the block scores and the summed score of each range. Where spread counts, a fourth
    panel shows it against diversity, with the front of the allowed ranges.

    Args:
        ranking: What was ranked.
        **look: `ax`, `width` and `title`, see `open_canvas`.
    """
    from slr_probe.show.charts.maps import draw_frame, draw_map, draw_maps
    from slr_probe.show.charts.spread import draw_spread
    from slr_probe.show.charts.tradeoff import draw_trade_off

    spread = ranking.objective != "crc" and ranking.has_replies
    columns, ratios = (4, (1, 1, 1.25, 1)) if spread else (3, (1, 1, 1.25))
    canvas = open_canvas(columns, columns, (4.5 * columns, 4.6), ratios=ratios, **look)
    first, second, third = canvas.axes[:3]
    n = len(ranking.ranges)
    if ranking.measured[:n].all():
        draw_maps((first, second), ranking)
    else:
        _bars(first, ranking)
        draw_map(second, ranking.ranges, ranking.score[:n], ranking.depth, "summed block score")
        draw_frame(second, ranking.best)
    points = draw_trade_off(third, ranking)
    if spread:
        draw_spread(canvas.axes[3], ranking)
    canvas.figure.colorbar(points, ax=third, label="blocks restored", shrink=0.85)
    canvas.legend(canvas.axes, columns=6)
    return canvas.close(_title(ranking))


def _bars(axis: Axes, ranking: RangeRanking) -> None:
    blocks = np.arange(ranking.depth)
    inside = np.isin(blocks, list(ranking.best))
    colours = np.where(inside, COLOURS["best"], "0.6")
    axis.bar(blocks, ranking.block_gain, color=colours.tolist())
    axis.axhline(0, color="0.4", linewidth=0.8)
    axis.set(xlabel="decoder block", ylabel=f"block score, method '{ranking.settings.get('scorer') or ranking.method}'")
    whole_numbers(axis.xaxis)
    open_frame(axis)


def _title(ranking: RangeRanking) -> str:
    pair = f"{model_name(ranking.settings.get('base'))} to {model_name(ranking.settings.get('tuned'))}"
    title = f"{pair}: method '{ranking.method}', {ranking.prompts(held_out=False)} prompts, best {ranking.best}"
    return title if ranking.meets_floor else f"{title} (floor not met)"

"""A ranking as a table, as plain data and as text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.show.format import html_text

if TYPE_CHECKING:
    import pandas as pd

    from slr_probe.rank.ranking import RangeRanking

_MEASURES = ("validity", "diversity", "gain", "kept")


def table(ranking: RangeRanking) -> pd.DataFrame:
    """One row for each range in ranked order, then references and controls."""
    import pandas as pd

    n = len(ranking.ranges)
    rows = np.concatenate([ranking.order, np.arange(n, len(ranking.kinds))])
    layers = [recipe.layers for recipe in ranking.recipes]
    place, share = np.full(len(ranking.kinds), np.nan), np.full(len(ranking.kinds), np.nan)
    place[ranking.order], share[:n] = np.arange(1, n + 1), ranking.p_best
    columns: dict[str, Any] = {
        "rank": pd.array([None if math.isnan(p) else int(p) for p in place], dtype="Int64"),
        "kind": ranking.kinds,
        "recipe": [str(recipe) for recipe in ranking.recipes],
        "start": pd.array([r.start if r else None for r in layers], dtype="Int64"),
        "stop": pd.array([r.stop if r else None for r in layers], dtype="Int64"),
        "width": [len(recipe.restored_blocks) for recipe in ranking.recipes],
    }
    for held_out in (False, True):
        for what in _MEASURES:
            found, name = ranking.interval(what, held_out=held_out), f"held_{what}" if held_out else what
            values = ranking.held_diversity if what in ("diversity", "gain") else ranking.held_validity
            columns[name] = _estimates(ranking, what) if not held_out else _of(values, what, ranking)
            columns[f"{name}_low"], columns[f"{name}_high"] = found.low, found.high
    columns |= {
        "meets_floor": ranking.feasible,
        "pareto": np.isin(np.arange(len(ranking.kinds)), ranking.front),
        "p_best": share,
        "score": ranking.score,
    }
    return pd.DataFrame(columns).iloc[rows].reset_index(drop=True)


def plain(ranking: RangeRanking) -> dict[str, Any]:
    """Plain data for JSON; numbers that were not measured are null."""
    frame = table(ranking)
    records = [_record(row) for row in frame.to_dict(orient="records")]
    kinds: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        kinds.setdefault(record["kind"], []).append(record)
    return {
        "method": ranking.method,
        "depth": ranking.depth,
        "validity_floor": ranking.floor,
        "least_validity": ranking.bar,
        "meets_floor": ranking.meets_floor,
        "diversity_unit": "fraction of log |V|",
        "level": ranking.level,
        "resamples": ranking.resamples,
        "seed": ranking.seed,
        "prompts": {"selection": ranking.validity.shape[1], "held_out": ranking.held_validity.shape[1]},
        "tuned": kinds["tuned"][0],
        "base": kinds.get("base", [None])[0],
        "full": kinds["full"][0],
        "best": kinds["range"][0],
        "best_soup": _of_row(records, ranking),
        "controls": [record for kind in ("early", "late", "random") for record in kinds.get(kind, [])],
        "soups": kinds.get("soup", []),
        "pareto": [str(layers) for layers in ranking.pareto()],
        "probability_that_none_meets_floor": _number(ranking.p_none),
        "candidates": kinds["range"],
        "block_scores": [_number(value) for value in ranking.block_gain],
        "settings": dict(ranking.settings),
        "notes": list(ranking.notes),
    }


def text(ranking: RangeRanking) -> str:
    """A few lines: what to restore, how sure, and beside what."""
    n = len(ranking.ranges)
    measured = int(ranking.measured[:n].sum())
    lines = [
        f"RangeRanking: {n} ranges of {ranking.depth} blocks by '{ranking.method}', {measured} measured, floor "
        f"{ranking.bar:.3f} ({ranking.floor:g} x tuned)"
    ]
    if not ranking.meets_floor:
        lines.append(f"  FLOOR NOT MET: {_unmet(ranking)}")
    lines += [*_scores(ranking, held_out=False), *_scores(ranking, held_out=True)]
    return "\n".join(lines + [f"  note    {note}" for note in ranking.notes])


def _unmet(ranking: RangeRanking) -> str:
    if ranking.method in ("sweep", "guided"):
        return "no measured range keeps that much validity; best is the one that comes nearest"
    return f"'{ranking.method}' does not measure before it proposes; take method='guided' or 'sweep'"


def lines(ranking: RangeRanking, top: int) -> tuple[list[str], list[list[str]]]:
    """Header and cells of a table for the terminal: the first ranges, then controls of equal width."""
    frame = table(ranking)
    shown = frame[(frame["rank"] <= top) | frame["kind"].isin(["early", "late", "random"])]
    measures = ["validity", "diversity", "gain"]
    cells = []
    for row in shown.to_dict(orient="records"):
        kind, recipe = row["kind"], str(row["recipe"])
        blocks = recipe.removeprefix("restore ").removesuffix(f" of {ranking.depth}")
        cell = [str(row["rank"]) if kind == "range" else kind, blocks]
        for name in (*measures, "held_validity", "held_diversity", "p_best"):
            low, high = (_number(row.get(f"{name}_{end}")) for end in ("low", "high"))
            text = "" if _number(row[name]) is None else f"{row[name]:.3f}"
            cell.append(f"{text} [{low:.2f}, {high:.2f}]" if text and name in measures and low is not None else text)
        cells.append(cell)
    return ["rank", "blocks", *measures, "held-out val.", "held-out div.", "p(best)"], cells


def html(ranking: RangeRanking) -> str:
    """Text and the first rows of the table, for Jupyter."""
    columns = ["rank", "kind", "recipe", "validity", "diversity", "gain_low", "gain_high", "held_validity",
               "held_diversity", "p_best", "pareto"]  # fmt: skip
    frame = table(ranking)
    shown = frame[(frame["rank"] <= 10) | ((frame["kind"] != "range") & (frame["kind"] != "soup"))][columns]
    shown = shown.assign(rank=shown["rank"].astype(str).where(shown["rank"].notna(), ""))
    rows = shown.to_html(index=False, float_format=lambda v: f"{v:.3f}", na_rep="")
    return html_text(text(ranking)) + str(rows)


def _shown(ranking: RangeRanking) -> list[tuple[str, int]]:
    rows = [(f"best {ranking.best}", int(ranking.order[0]))]
    for kind in ("tuned", "base", "full", "early", "late"):
        rows += [(kind, int(row)) for row in ranking.rows(kind)[:1]]
    if ranking.best_soup is not None:
        rows.append((f"soup {ranking.recipes[ranking.best_soup].blocks[0].default:g}", ranking.best_soup))
    return rows


def _scores(ranking: RangeRanking, *, held_out: bool) -> list[str]:
    """Header and a line a model; nothing where there are no such prompts."""
    validity = ranking.held_validity if held_out else ranking.validity
    diversity = ranking.held_diversity if held_out else ranking.diversity
    where = f"{validity.shape[1]} {'held-out' if held_out else 'selection'} prompts"
    limits = [ranking.interval(what, held_out=held_out) for what in ("validity", "diversity")]
    lines = []
    for name, row in _shown(ranking):
        if not validity.shape[1] or not np.isfinite(validity[row]).all():
            continue
        cells = [_cell(values[row].mean(), found.low[row], found.high[row])
                 for values, found in zip((validity, diversity), limits, strict=True)]  # fmt: skip
        chosen = not held_out and row < len(ranking.ranges) and np.isfinite(ranking.p_best[row])
        share = f"{ranking.p_best[row]:.2f}" if chosen else ""
        lines.append(f"  {name:<22}{cells[0]:<22}{cells[1]:<22}{share}".rstrip())
    head = f"  {where:<22}{'validity':<22}{'diversity':<22}{'' if held_out else 'p(best)'}".rstrip()
    return [head, *lines] if lines else []


def _cell(value: float, low: float, high: float) -> str:
    return f"{value:.3f} [{low:.3f}, {high:.3f}]" if np.isfinite(low) else f"{value:.3f}"


def _estimates(ranking: RangeRanking, what: str) -> Any:
    return _of(ranking.diversity if what in ("diversity", "gain") else ranking.validity, what, ranking)


def _of(values: Any, what: str, ranking: RangeRanking) -> Any:
    """Point estimates, which exist for a single prompt too, where no interval does."""
    if not values.shape[1]:
        return np.full(len(values), np.nan)
    means = values.mean(axis=1)
    tuned = means[ranking.rows("tuned")[0]]
    if what == "kept":
        return means / tuned if tuned > 0 else np.full(len(values), np.nan)
    return means - tuned if what == "gain" else means


def _of_row(records: list[dict[str, Any]], ranking: RangeRanking) -> dict[str, Any] | None:
    """The record of the best soup; rows after the ranges keep their places in the table."""
    return None if ranking.best_soup is None else records[ranking.best_soup]


def _record(row: Any) -> dict[str, Any]:
    plain = {str(name): _number(value) for name, value in dict(row).items()}
    for name in [name[:-4] for name in plain if name.endswith("_low")]:
        plain[f"{name}_interval"] = [plain.pop(f"{name}_low"), plain.pop(f"{name}_high")]
    return plain


def _number(value: Any) -> Any:
    """Plain Python; NaN and missing become None, which JSON knows."""
    import pandas as pd

    if isinstance(value, str) or value is None:
        return value
    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value

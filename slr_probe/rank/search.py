"""`rank_layers`: propose the range of blocks to restore."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.errors import RankingError, TaskError
from slr_probe.pair.prompts import Format
from slr_probe.rank.candidates import Row, controls, ranges, references
from slr_probe.rank.check import check_engine, check_floor, check_numbers, check_tuned
from slr_probe.rank.measure import Meter
from slr_probe.rank.order import order_by
from slr_probe.rank.ranking import RangeRanking
from slr_probe.rank.scorers import SCORERS, BlockScores, find_scorer
from slr_probe.rank.scores import VERIFIED
from slr_probe.rank.weights import changed_blocks
from slr_probe.recipe import Recipe
from slr_probe.tasks.crc import CRCTask, RenderedTask

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair

METHODS = (*VERIFIED, *SCORERS)


def rank_layers(
    pair: ModelPair,
    task: Any = None,
    method: str = "sweep",
    floor: float = 0.9,
    *,
    scorer: str = "attribution",
    proposals: int = 32,
    held_out: int = 10,
    soups: bool = True,
    format: Format | None = None,
    temperature: float = 1.0,
    min_p: float = 0.0,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    memory: str | int = "4GB",
    stream: bool | None = None,
    dtype: Any = None,
    out: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> RangeRanking:
    """Rank every contiguous range by the diversity that restoring it brings, subject to a floor on validity.

    The objective is that of Selective Layer Restoration (arXiv 2602.06665): most diversity among the ranges whose
    validity is at least `floor` times that of tuned. Choices are made on the selection prompts; the best
    ranges, references and controls are then scored on held-out prompts. Ranges that restore the same changed blocks
    are one hybrid and tie exactly: the narrowest of them is preferred.

    Args:
        pair: Base and tuned.
        task: A `CRCTask`, the path of one, a list of its items, or anything with `queries(pair)` (then without
            held-out prompts); default: `CRCTask.default()`.
        method: `"sweep"` measures every range. `"guided"` measures the best `proposals` of a cheap `scorer`.
            `"patching"`, `"entropy"`, `"delta"`, `"attribution"` and `"mask"` order ranges by the sum of block scores
            and measure only the first.
        floor: Share of tuned's mean validity that a range must keep, above 0 and up to 1.
        scorer: Which cheap method proposes, for `"guided"`. The default holds both models and one gradient in memory;
            `"patching"` also works on streamed pairs.
        proposals: How many ranges `"guided"` measures.
        held_out: How many of the best ranges are scored on held-out prompts.
        soups: Measure the 21 uniform soups as well. They share no work with ranges: 21 passes over mixed weights.
        format: Prompt format of all models; default: chat where there is a chat template. Base is measured on plain
            prompts as well (in `settings`), as a chat template is off-distribution for it.
        temperature: Temperature of the distributions that are scored.
        min_p: Min-p of the distributions that are scored.
        level: Nominal coverage of the intervals.
        resamples: Bootstrap resamples over prompts.
        seed: Seed of the bootstrap and of the random controls.
        memory: What the sweep may use.
        stream: Read weights block by block from the checkpoints; default: where they would not fit.
        dtype: Dtype to compute in; default: the pair's.
        out: Folder for results as they come; the same call goes on there after a kill, and one with
            another seed or floor takes from there what does not depend on it.
        progress: Whether to show progress bars; None shows them on a terminal and in Jupyter.

    Raises:
        RankingError: An unknown method or scorer, a floor, level, count or seed out of its range, or a tuned model that
            gives no valid answer any probability.
        TaskError: The task has no usable prompts.
        SweepError: The memory limit is too small or no size, a temperature, min-p or dtype is none, or `out` holds
            sweeps with other prompts, settings or checkpoints.

    Examples:
        >>> ranking = rank_layers(ModelPair.load(base, tuned))  # doctest: +SKIP
        >>> ranking.choice.layers  # doctest: +SKIP
        LayerRange('14:18')
    """
    if method not in METHODS:
        raise RankingError(f"unknown method {method!r}; expected one of {', '.join(METHODS)}")
    find_scorer(scorer)
    check_floor(floor)
    check_numbers({"proposals": proposals, "held_out": held_out, "resamples": resamples}, level, seed)
    engine = {"memory": memory, "stream": stream, "dtype": dtype, "temperature": temperature, "min_p": min_p}
    check_engine(engine)
    select, held, notes = _prompts(pair, task, format)
    changed = changed_blocks(pair, stream=stream, dtype=dtype)
    meters = [
        None if part is None else Meter(pair, part, changed, {**engine, "progress": progress}, _folder(out, name))
        for part, name in ((select, "selection"), (held, "held-out"))
    ]
    meter = meters[0]
    assert meter is not None
    candidates, (beside, more) = ranges(pair.depth), references(pair, soups)
    if not changed:
        more += ("no block differs between base and tuned: every range is the tuned model",)
    if min_p > 0:  # else there is always some probability, and tuned is swept with the rest
        check_tuned(meter([Recipe.tuned(pair.depth)])[0][0], min_p)
    scores = None if method == "sweep" else find_scorer(scorer if method == "guided" else method)(meter)
    proposed, total = _propose(pair, candidates, scores, method, floor, proposals, meter, beside)
    meter([*(candidates[i].recipe for i in proposed), *(row.recipe for row in beside)])
    check_tuned(meter([Recipe.tuned(pair.depth)])[0][0], min_p)

    settings: dict[str, Any] = {
        "base": str(pair.base_side),
        "tuned": str(pair.tuned_side),
        "task": getattr(task, "name", None) or "CRC",
        "format": getattr(select, "format", None),
        "temperature": temperature,
        "min_p": min_p,
        "scorer": scorer if method == "guided" else None,
    }

    def assemble(rows: Sequence[Row], wanted: Sequence[int], held_wanted: Sequence[int]) -> RangeRanking:
        validity, diversity = _scores(meters[0], rows, wanted)
        held_validity, held_diversity = _scores(meters[1], rows, held_wanted)
        return RangeRanking(
            kinds=np.array([row.kind for row in rows]),
            validity=validity,
            diversity=diversity,
            held_validity=held_validity,
            held_diversity=held_diversity,
            score=np.concatenate([total, np.full(len(rows) - len(total), np.nan)]),
            block_gain=np.full(pair.depth, np.nan) if scores is None else np.asarray(scores.gain, dtype=float),
            changed=np.isin(np.arange(pair.depth), list(changed)),
            recipe_data=tuple(row.recipe.to_dict() for row in rows),
            method=method,
            floor=float(floor),
            categories=_categories(select),
            held_categories=_categories(held),
            level=level,
            resamples=resamples,
            seed=seed,
            settings=settings,
            notes=(*notes, *more),
        )

    # Twice: which controls have equal width, and what is worth holding out, follows from the choice.
    rows = [*candidates, *beside]
    first = assemble(rows, [*proposed, *range(len(candidates), len(rows))], ())
    soup = first.best_soup
    rows += controls(first.best, pair.depth, seed)
    after = range(len(candidates), len(rows))
    lead = [int(i) for i in first.order[:held_out] if first.measured[i]]
    tested = [*lead, *(i for i in after if rows[i].kind != "soup" or i == soup)]
    meter([rows[i].recipe for i in after])
    settings |= _plain_base(meter, any(row.kind == "base" for row in beside))
    settings["hybrids_measured"] = meter.measured
    return assemble(rows, [*proposed, *after], tested)


def _prompts(pair: ModelPair, task: Any, format: Format | None) -> tuple[Any, Any, tuple[str, ...]]:
    """Selection prompts, held-out prompts or None, and notes."""
    if task is None:
        task = CRCTask.default()
    elif isinstance(task, (str, os.PathLike)):
        task = CRCTask.load(task)
    elif isinstance(task, Iterable) and not hasattr(task, "queries"):
        task = CRCTask.of(task)
    if isinstance(task, CRCTask):
        parts = [task.selection, task.held_out]
        rendered: list[RenderedTask | None] = [part.render(pair, format) if part else None for part in parts]
        notes = tuple(note for part in rendered if part for note in part.notes)
        if rendered[1] is None:
            notes += ("no held-out prompts: the scores of the best range are optimistic, as it was chosen on them",)
        return rendered[0], rendered[1], notes
    if not hasattr(task, "queries"):
        raise TaskError(f"a task is a CRCTask, its file, its items, or has queries(pair); got {type(task).__name__}")
    return task, None, ("no held-out prompts: the scores of the best range are optimistic, as it was chosen on them",)


def _propose(
    pair: ModelPair,
    candidates: Sequence[Row],
    scores: BlockScores | None,
    method: str,
    floor: float,
    proposals: int,
    meter: Meter,
    beside: Sequence[Row],
) -> tuple[list[int], Float[ndarray, " range"]]:
    """Ranges to measure, and the sum of block scores of every range."""
    if scores is None:
        return list(range(len(candidates))), np.full(len(candidates), np.nan)
    layers = [row.recipe.layers for row in candidates]
    assert all(layers)
    spans = [span for span in layers if span is not None]
    slack = 0.0
    if scores.validity is not None:
        tuned = next(row.recipe for row in beside if row.kind == "tuned")
        slack = (1 - floor) * float(meter([tuned])[0].mean())
    total = scores.of_ranges(spans, slack)
    order = order_by(total, np.array([r.width for r in spans]), np.array([r.start for r in spans]))
    hybrids = {meter.essence(candidates[i].recipe): int(i) for i in reversed(order)}  # of equals the first stays
    hybrids.pop(Recipe.tuned(pair.depth), None)  # ranges that restore nothing
    wanted = set(hybrids.values()) or {0}
    first = [int(i) for i in order if int(i) in wanted]
    return first[: proposals if method == "guided" else 1], total


def _scores(
    meter: Meter | None, rows: Sequence[Row], wanted: Sequence[int]
) -> tuple[Float[ndarray, "row prompt"], Float[ndarray, "row prompt"]]:
    """Validity and diversity of the wanted rows, NaN elsewhere; without prompts where there is no meter."""
    count = 0 if meter is None else len(meter.queries)
    validity, diversity = np.full((len(rows), count), np.nan), np.full((len(rows), count), np.nan)
    if meter is not None and len(wanted):
        validity[list(wanted)], diversity[list(wanted)] = meter([rows[i].recipe for i in wanted])
    return validity, diversity


def _plain_base(meter: Meter, whole: bool) -> dict[str, Any]:
    """Base under plain prompts, where the ranking itself is under a chat template."""
    task = meter.task
    if not isinstance(task, RenderedTask) or task.format == "plain":
        return {}
    plain = CRCTask(task.items).render(meter.pair, "plain")
    base = Recipe.base(meter.pair.depth, blocks_only=not whole)
    validity, diversity = Meter(meter.pair, plain, meter.changed, meter.engine)([base])
    return {"base_plain": {"validity": float(validity.mean()), "diversity": float(diversity.mean())}}


def _categories(task: Any) -> tuple[str, ...]:
    return task.categories if isinstance(task, RenderedTask) else ()


def _folder(out: str | os.PathLike[str] | None, name: str) -> Path | None:
    return None if out is None else Path(out) / name

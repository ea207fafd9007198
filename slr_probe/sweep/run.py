"""`sweep`: exact answer distributions of any set of recipes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import torch

from slr_probe.defaults import MEMORY
from slr_probe.executor import Executor, opened
from slr_probe.forward.budget import as_dtype, parse_bytes
from slr_probe.forward.device import many_shapes
from slr_probe.progress import progress_bar
from slr_probe.recipe import Recipe
from slr_probe.sweep.estimate import SweepPlan, make_plan
from slr_probe.sweep.measure import Piece, how, matmul_share, measured, steps_of
from slr_probe.sweep.prepare import prepare
from slr_probe.sweep.reads.rows import Arrays
from slr_probe.sweep.result import SweepResult
from slr_probe.sweep.settings import Measure, Request, Task, as_queries, as_recipes, check_replies
from slr_probe.sweep.spread import BLOCK, SweepWork, blocks
from slr_probe.sweep.store import ChunkStore, Table

if TYPE_CHECKING:
    from slr_probe.layers import LayerRange
    from slr_probe.pair import ModelPair
    from slr_probe.tasks.answers import Query
    from slr_probe.tasks.replies import Replies

    Recipes = Iterable[Recipe | LayerRange | str] | None


@overload
def sweep(
    pair: ModelPair,
    recipes: Recipes = ...,
    task: Task | Iterable[Query] = ...,
    *,
    memory: str | int = ...,
    stream: bool | None = ...,
    dtype: torch.dtype | str | None = ...,
    temperature: float = ...,
    min_p: float = ...,
    grid: Iterable[tuple[float, float]] = ...,
    replies: Replies | None = ...,
    reference: Recipe | LayerRange | str | None = ...,
    order: bool = ...,
    out: str | os.PathLike[str] | None = ...,
    executor: Executor | str | None = ...,
    progress: bool | None = ...,
    dry_run: Literal[False] = ...,
) -> SweepResult: ...


@overload
def sweep(
    pair: ModelPair,
    recipes: Recipes = ...,
    task: Task | Iterable[Query] = ...,
    *,
    memory: str | int = ...,
    stream: bool | None = ...,
    dtype: torch.dtype | str | None = ...,
    temperature: float = ...,
    min_p: float = ...,
    grid: Iterable[tuple[float, float]] = ...,
    replies: Replies | None = ...,
    reference: Recipe | LayerRange | str | None = ...,
    order: bool = ...,
    out: str | os.PathLike[str] | None = ...,
    executor: Executor | str | None = ...,
    progress: bool | None = ...,
    dry_run: Literal[True],
) -> SweepPlan: ...


@torch.no_grad()
@many_shapes()
def sweep(
    pair: ModelPair,
    recipes: Recipes = None,
    task: Task | Iterable[Query] = (),
    *,
    memory: str | int = MEMORY,
    stream: bool | None = None,
    dtype: torch.dtype | str | None = None,
    temperature: float = 1.0,
    min_p: float = 0.0,
    grid: Iterable[tuple[float, float]] = (),
    replies: Replies | None = None,
    reference: Recipe | LayerRange | str | None = None,
    order: bool = False,
    out: str | os.PathLike[str] | None = None,
    executor: Executor | str | None = None,
    progress: bool | None = None,
    dry_run: bool = False,
) -> SweepResult | SweepPlan:
    """Exact next-token answer distributions of every recipe, on every prompt, and exact scores of replies.

    Recipes that begin alike share the work up to where they part, so a sweep of all contiguous ranges costs about a
    third of the block evaluations of running the hybrids one by one, and each weight is touched once.

    Args:
        pair: The pair.
        recipes: Recipes or ranges (`"8:14"`) in any mix; None for every contiguous range and the tuned model.
        task: Anything with `.queries(pair)` such as `CRCTask`, or queries; may be left out where there are replies.
        memory: What the sweep may use: all that it allocates, and both models where it has to load them.
        stream: Read weights block by block from the checkpoint folders; True, False, or None to do so where both
            models would not fit into `memory`.
        dtype: Dtype to compute in; default: that of the pair.
        temperature: Divides the logits.
        min_p: Drops tokens less likely than this share of the likeliest, before renormalising.
        grid: Other pairs of temperature and min-p to read out besides, without running a block again; see
            `SweepResult.at`.
        replies: Replies to score token by token: `SweepResult.replies`.
        reference: The recipe whose distributions those on replies are compared with; default: tuned.
        order: Read as well how answers are ranked above all other tokens: `SweepResult.order_scores`.
        out: Folder for results as they come; a sweep that was killed goes on there when it is run again.
        executor: Who does it: `"local"`, `"ray"`, `"ray://HOST:PORT"` or an `Executor`. It is then cut into blocks of
            `BLOCK` rows, and any executor gives the same bytes; default: all at once in this process, which is faster
            for small work and differs from that by rounding.
        progress: Whether to show a progress bar; None shows it on a terminal and in Jupyter.
        dry_run: Only say what would be done and what it would cost.

    Returns:
        The result, or with `dry_run` a `SweepPlan`, which prints well.

    Raises:
        TaskError: No prompts, fewer than two answers, or a token that stands under two answers.
        PromptError: A prompt or a reply that is too long for the model or outside its vocabulary.
        RecipeError: A recipe that does not fit the pair, such as one for another depth.
        SweepError: The memory limit is below one state, `out` holds another sweep or one of checkpoints that have
            changed since, or scores are no numbers: the block whose output is NaN or infinite is named.
        OutputError: `out` cannot be written, or another process writes into it.
        ExecutorError: No such executor, or it cannot do the work.

    Examples:
        >>> result = sweep(pair, None, CRCTask.default().selection)  # doctest: +SKIP
        >>> result.diversity[result.index("8:14")].mean()  # doctest: +SKIP
    """
    measure, limit = Measure(temperature, min_p, grid=tuple(grid), order=order), parse_bytes(memory)
    queries, chosen = as_queries(pair, task, needed=replies is None), as_recipes(pair, recipes)
    check_replies(pair, replies)
    against = pair.recipe(Recipe.tuned(pair.depth) if reference is None else reference)
    request = Request(pair, chosen, queries, measure, as_dtype(dtype), replies, against)
    request.check_recipes()
    if dry_run:
        everything = list(range(len(chosen))), list(range(len(request.asked.rows)))
        return make_plan(request, prepare(request, *everything, limit, stream, pieces=1), limit)
    fill = partial(_measure, stream=stream) if executor is None else partial(_spread, stream=stream, executor=executor)
    if out is None:
        return fill(request, limit, None, progress)
    store = ChunkStore(out, request.identity() | ({} if executor is None else {"block": BLOCK}))
    if store.finished:
        return SweepResult.load(store.result)
    with store.held():
        result = fill(request, limit, store, progress)
        result.save(store.result)
        store.clear()
    return result


def _measure(
    request: Request, limit: int, store: ChunkStore | None, progress: bool | None, stream: bool | None
) -> SweepResult:
    """Measure what the store does not hold yet, and put all of it together."""
    started = time.perf_counter()
    table = _table(request, store)
    todo = np.flatnonzero(~table.done.all(1)).tolist(), np.flatnonzero(~table.done.all(0)).tolist()
    ready = prepare(request, *todo, limit, stream, pieces=1 if store is None else 8)
    with progress_bar(steps_of(request, ready, *todo), "sweep", unit="block", show=progress) as bar:
        for piece in measured(request, ready, *todo, bar.update):
            _keep(piece, table, store)
    share = matmul_share(ready, request.asked.rows, time.perf_counter() - started)
    made = {**how(request, ready), "chunks": len(ready.schedule.chunks) if ready.schedule else len(todo[0])}
    made |= {} if share is None else {"matmul_share": share}
    return _result(request, table, _settings(request, made, store, started))


def _spread(
    request: Request,
    limit: int,
    store: ChunkStore | None,
    progress: bool | None,
    stream: bool | None,
    executor: Executor | str,
) -> SweepResult:
    """The same, block by block, done by an executor; a block that is not whole in the store is done again."""
    started = time.perf_counter()
    table = _table(request, store)
    work = SweepWork.of(request, limit, stream)
    parts = blocks(request.asked)
    left = [part for part in parts if not table.done[:, list(part)].all()]
    made: dict[str, Any] = {}
    with opened(executor) as workers, progress_bar(len(parts), "sweep", unit="part", show=progress) as bar:
        assert workers is not None
        bar.update(len(parts) - len(left))
        for _, block in workers.run(work, left or [()]):  # with nothing left, one still says how it was measured
            made = block.how
            for piece in block.pieces:
                _keep(piece, table, store)
            bar.update(1 if left else 0)
    return _result(request, table, _settings(request, {**made, "chunks": len(parts)}, store, started))


def _table(request: Request, store: ChunkStore | None) -> Table:
    """What is known so far."""
    table = Table(len(request.recipes), request.asked)
    if store is not None:
        store.load(table)
    return table


def _keep(piece: Piece, table: Table, store: ChunkStore | None) -> None:
    table.put(piece.recipes, piece.rows, piece.arrays)
    if store is not None:
        store.append(table, piece.recipes, piece.rows)


def _settings(request: Request, made: Mapping[str, Any], store: ChunkStore | None, started: float) -> dict[str, Any]:
    """How it was measured."""
    return {
        **({} if store is None else store.identity),
        **asdict(request.measure),
        "grid": [list(pair) for pair in request.measure.settings[1:]],
        **made,
        "seconds": round(time.perf_counter() - started, 3),
    }


def _arrays(request: Request, table: Table) -> Arrays:
    """The arrays of the result: what was read of answers put together, the rest as it is."""
    read = {name: array for name, array in table.arrays.items() if name != "path_logprobs"}
    if request.measure.order:  # where answers go on, what is read at the prompt's end is not one entry an answer
        read["order_scores"][:, [bool(query.longer or query.ending) for query in request.queries]] = np.nan
    return read | request.path_reader.answers(table.arrays)


def _result(request: Request, table: Table, settings: dict[str, Any]) -> SweepResult:
    return SweepResult(
        **_arrays(request, table),
        sizes=np.array([len(query.answers) for query in request.queries], dtype=np.int64),
        recipe_data=tuple(recipe.to_dict() for recipe in request.recipes),
        settings=settings,
        **({} if request.reply_reader is None else {"reply_reads": request.reply_reader.places}),
    )

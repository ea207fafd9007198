"""`sweep`: exact answer distributions of any set of recipes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import torch

from slr_probe.defaults import MEMORY
from slr_probe.forward.budget import as_dtype, parse_bytes
from slr_probe.progress import progress_bar
from slr_probe.sweep.chunk import Arrays, run_chunk, run_plainly
from slr_probe.sweep.estimate import SweepPlan, make_plan
from slr_probe.sweep.prepare import Prepared, prepare
from slr_probe.sweep.result import SweepResult
from slr_probe.sweep.settings import Measure, Request, Task, as_queries, as_recipes
from slr_probe.sweep.store import ChunkStore, Table

if TYPE_CHECKING:
    from slr_probe.layers import LayerRange
    from slr_probe.pair import ModelPair
    from slr_probe.recipe import Recipe
    from slr_probe.tasks.answers import Query

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
    out: str | os.PathLike[str] | None = ...,
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
    out: str | os.PathLike[str] | None = ...,
    progress: bool | None = ...,
    dry_run: Literal[True],
) -> SweepPlan: ...


@torch.no_grad()
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
    out: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
    dry_run: bool = False,
) -> SweepResult | SweepPlan:
    """Exact next-token answer distributions of every recipe, on every prompt.

    Recipes that begin alike share the work up to where they part, so a sweep of all contiguous ranges costs about a
    third of the block evaluations of running the hybrids one by one, and each weight is touched once.

    Args:
        pair: The pair.
        recipes: Recipes or ranges (`"8:14"`) in any mix; None for every contiguous range and the tuned model.
        task: Anything with `.queries(pair)` such as `CRCTask`, or queries.
        memory: What the sweep may use: all that it allocates, and both models where it has to load them.
        stream: Read weights block by block from the checkpoint folders; True, False, or None to do so where both
            models would not fit into `memory`.
        dtype: Dtype to compute in; default: that of the pair.
        temperature: Divides the logits.
        min_p: Drops tokens less likely than this share of the likeliest, before renormalising.
        out: Folder for results as they come; a sweep that was killed goes on there when it is run again.
        progress: Whether to show a progress bar; None shows it on a terminal and in Jupyter.
        dry_run: Only say what would be done and what it would cost.

    Returns:
        The result, or with `dry_run` a `SweepPlan`, which prints well.

    Raises:
        TaskError: No prompts, fewer than two answers, or a token that stands under two answers.
        PromptError: A prompt that is too long for the model or outside its vocabulary.
        RecipeError: A recipe that does not fit the pair, such as one for another depth.
        SweepError: The memory limit is below one state, or `out` holds another sweep or one of checkpoints that
            have changed since.
        OutputError: `out` cannot be written, or another process writes into it.

    Examples:
        >>> result = sweep(pair, None, CRCTask.default().selection)  # doctest: +SKIP
        >>> result.diversity[result.index("8:14")].mean()  # doctest: +SKIP
    """
    measure, limit = Measure(temperature, min_p), parse_bytes(memory)
    queries, chosen = as_queries(pair, task), as_recipes(pair, recipes)
    request = Request(pair, chosen, queries, measure, as_dtype(dtype))
    request.check_recipes()
    if dry_run:
        everything = list(range(len(chosen))), list(range(len(queries)))
        return make_plan(request, prepare(request, *everything, limit, stream, pieces=1), limit)
    if out is None:
        return _measure(request, limit, stream, None, progress)
    store = ChunkStore(out, request.identity())
    if store.finished:
        return SweepResult.load(store.result)
    with store.held():
        result = _measure(request, limit, stream, store, progress)
        result.save(store.result)
        store.clear()
    return result


def _measure(
    request: Request, limit: int, stream: bool | None, store: ChunkStore | None, progress: bool | None
) -> SweepResult:
    """Measure what the store does not hold yet, and put all of it together."""
    started = time.perf_counter()
    queries = request.queries
    table = Table(len(request.recipes), len(queries), max(len(q.answers) for q in queries), request.measure.invalid)
    if store is not None:
        store.load(table)
    todo = np.flatnonzero(~table.done.all(1)).tolist(), np.flatnonzero(~table.done.all(0)).tolist()
    ready = prepare(request, *todo, limit, stream, pieces=1 if store is None else 8)
    _run(request, ready, todo, table, store, progress)
    identity = {} if store is None else store.identity
    settings = {**identity, **_settings(request, ready, len(todo[0])), "seconds": _seconds_since(started)}
    return _result(request, table, settings)


def _run(
    request: Request,
    ready: Prepared,
    todo: tuple[list[int], list[int]],
    table: Table,
    store: ChunkStore | None,
    progress: bool | None,
) -> None:
    """Fill the table with the recipes and prompts that are left to do, and save each piece."""
    recipes, prompts = todo

    def keep(recipes: Sequence[int], prompts: Sequence[int], arrays: Arrays) -> None:
        table.put(recipes, prompts, arrays)
        if store is not None:
            store.append(table, recipes, prompts)

    queries, measure = request.queries, request.measure
    if ready.runner is not None and ready.schedule is not None:
        chunks, rows = ready.schedule.chunks, ready.schedule.rows
        with progress_bar(sum(chunk.steps for chunk in chunks), "sweep", unit="block", show=progress) as steps:
            for chunk in chunks:
                columns, arrays = run_chunk(ready.runner, chunk, queries, measure, rows, steps.update)
                keep(chunk.recipes, columns, arrays)
    elif ready.runner is None:
        total = len(recipes) * len(prompts) * request.pair.depth
        with progress_bar(total, "sweep (swap and forward)", unit="block", show=progress) as steps:
            for i in recipes:
                recipe = request.recipes[i]
                arrays = run_plainly(request.pair, recipe, prompts, queries, measure, ready.rows, steps.update)
                keep([i], prompts, arrays)


def _seconds_since(started: float) -> float:
    return round(time.perf_counter() - started, 3)


def _settings(request: Request, ready: Prepared, left: int) -> dict[str, Any]:
    """How it was measured."""
    return {
        **asdict(request.measure),
        "dtype": str(ready.dtype).removeprefix("torch."),
        "method": ready.method,
        "streamed": ready.streamed,
        "block_evaluations": ready.evaluations,
        "naive_block_evaluations": len(request.recipes) * request.pair.depth,
        "chunks": len(ready.schedule.chunks) if ready.schedule else left,
        "notes": list(ready.notes),
    }


def _result(request: Request, table: Table, settings: dict[str, Any]) -> SweepResult:
    return SweepResult(
        answer_logprobs=table.answer_logprobs,
        sizes=np.array([len(query.answers) for query in request.queries]),
        invalid_tokens=table.invalid_tokens,
        invalid_logprobs=table.invalid_logprobs,
        recipe_data=tuple(recipe.to_dict() for recipe in request.recipes),
        settings=settings,
    )

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
from slr_probe.files import digest
from slr_probe.forward.budget import as_dtype, parse_bytes
from slr_probe.pair.side import fingerprint
from slr_probe.progress import progress_bar
from slr_probe.restoration.plan import plan_hybrid
from slr_probe.sweep.chunk import run_chunk, run_plainly
from slr_probe.sweep.estimate import SweepPlan, measure_seconds
from slr_probe.sweep.plan import Schedule
from slr_probe.sweep.prepare import Prepared, prepare
from slr_probe.sweep.result import SweepResult
from slr_probe.sweep.settings import Measure, Task, as_queries, as_recipes
from slr_probe.sweep.store import FINAL, Store, Table

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

    Examples:
        >>> result = sweep(pair, None, CRCTask.default().selection)  # doctest: +SKIP
        >>> result.diversity[result.index("8:14")].mean()  # doctest: +SKIP
    """
    started = time.perf_counter()
    measure, limit = Measure(temperature, min_p), parse_bytes(memory)
    queries, chosen = as_queries(pair, task), as_recipes(pair, recipes)
    for recipe in {(frozenset(r.blocks), r.embedding, r.final_norm, r.head): r for r in chosen}.values():
        plan_hybrid(pair.base_side, pair.tuned_side, recipe)
    compute = as_dtype(dtype)
    identity = _identity(pair, chosen, queries, measure, compute) if out is not None and not dry_run else {}
    store = Store(out, identity) if out is not None and not dry_run else None
    if store is not None and (store.folder / FINAL).exists():
        return SweepResult.load(store.folder / FINAL)
    table = Table(len(chosen), len(queries), max(len(q.answers) for q in queries), measure.invalid)
    if store is not None:
        store.load(table)
    todo = np.flatnonzero(~table.done.all(1)).tolist(), np.flatnonzero(~table.done.all(0)).tolist()
    ready = prepare(pair, chosen, queries, todo, limit, stream, compute, pieces=8 if store is not None else 1)
    if dry_run:
        return _plan(ready, chosen, queries, measure, limit)
    if todo[0]:
        _run(pair, ready, chosen, queries, todo, measure, table, store, progress)
    settings = {
        **identity,
        **asdict(measure),
        "dtype": str(ready.dtype).removeprefix("torch."),
        "method": ready.method,
        "streamed": ready.streamed,
        "block_evaluations": ready.evaluations,
        "naive_block_evaluations": len(chosen) * pair.depth,
        "chunks": len(ready.schedule.chunks) if ready.schedule else len(todo[0]),
        "notes": list(ready.notes),
        "seconds": round(time.perf_counter() - started, 3),
    }
    result = SweepResult(
        table.answer_logprobs,
        np.array([len(query.answers) for query in queries]),
        table.invalid_tokens,
        table.invalid_logprobs,
        tuple(recipe.to_dict() for recipe in chosen),
        settings,
    )
    if store is not None:
        result.save(store.folder / FINAL)
        store.clear()
    return result


def _run(
    pair: ModelPair,
    ready: Prepared,
    recipes: Sequence[Recipe],
    queries: Sequence[Query],
    todo: tuple[list[int], list[int]],
    measure: Measure,
    table: Table,
    store: Store | None,
    progress: bool | None,
) -> None:
    if ready.walk is None or ready.schedule is None:
        total = len(todo[0]) * len(todo[1]) * pair.depth
        with progress_bar(total, "sweep (swap and forward)", unit="block", show=progress) as steps:
            for i in todo[0]:
                arrays = run_plainly(pair, recipes[i], todo[1], queries, measure, ready.rows, steps.update)
                table.put([i], todo[1], arrays)
                if store is not None:
                    store.append(table, [i], todo[1])
        return
    total = sum(chunk.steps for chunk in ready.schedule.chunks)
    with progress_bar(total, "sweep", unit="block", show=progress) as steps:
        for chunk in ready.schedule.chunks:
            prompts, arrays = run_chunk(ready.walk, chunk, queries, measure, ready.schedule.rows, steps.update)
            table.put(chunk.recipes, prompts, arrays)
            if store is not None:
                store.append(table, chunk.recipes, prompts)


def _plan(
    ready: Prepared, recipes: Sequence[Recipe], queries: Sequence[Query], measure: Measure, limit: int
) -> SweepPlan:
    schedule: Schedule | None = ready.schedule
    longest = max(len(query.token_ids) for query in queries)
    naive = len(queries) * longest
    tokens = sum(len(query.token_ids) for query in queries)
    if schedule is not None:
        tokens = _tokens(schedule, queries)
    seconds = None
    if ready.walk is not None and schedule is not None:
        seconds = measure_seconds(ready.walk, schedule, queries, measure)
    return SweepPlan(
        len(recipes),
        len(queries),
        ready.evaluations,
        len(recipes) * recipes[0].depth,
        tokens,
        naive,
        len(schedule.chunks) if schedule is not None else len(recipes),
        schedule.needed if schedule is not None else 0,
        limit,
        ready.streamed,
        ready.method,
        seconds,
    )


def _tokens(schedule: Schedule, queries: Sequence[Query]) -> int:
    """Tokens that one block evaluation runs over all chunks; shared ones once a chunk."""
    chunks = {tuple(g.prompts for g in chunk.groups): chunk.groups for chunk in schedule.chunks}
    total = 0
    for groups in chunks.values():
        openings = {tuple(queries[g.prompts[0]].token_ids[: g.shared]) for g in groups}
        total += sum(g.tokens - g.shared for g in groups) + sum(map(len, openings))
    return total


def _identity(
    pair: ModelPair,
    recipes: Sequence[Recipe],
    queries: Sequence[Query],
    measure: Measure,
    dtype: torch.dtype | None,
) -> dict[str, Any]:
    """Everything that the numbers depend on."""
    import transformers

    from slr_probe.version import __version__

    plain = [{k: v for k, v in recipe.to_dict().items() if k != "name"} for recipe in recipes]
    return {
        "base": fingerprint(pair.base_side),
        "tuned": fingerprint(pair.tuned_side),
        "recipes": digest(plain),
        "prompts": digest([(query.token_ids, query.answers) for query in queries]),
        "measure": asdict(measure),
        "compute": f"{dtype} of {pair.dtype} on {pair.device.type}",
        "versions": f"slr_probe {__version__}, torch {torch.__version__}, transformers {transformers.__version__}",
    }

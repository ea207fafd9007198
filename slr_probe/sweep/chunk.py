"""Running one chunk of a sweep: through the blocks, through the head, down to answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy import ndarray

from slr_probe.forward.readout import AnswerTable, Readout, reduce_logits
from slr_probe.forward.surgery import installed
from slr_probe.sweep.execute import Walk
from slr_probe.sweep.fallback import swap_and_forward
from slr_probe.sweep.plan import REDUCE, Chunk
from slr_probe.sweep.settings import Measure
from slr_probe.sweep.store import Table

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair
    from slr_probe.recipe import Recipe
    from slr_probe.tasks.answers import Query

Arrays = dict[str, ndarray[Any, Any]]


class Reducer:
    """Turns logits into arrays of answers, a few rows at a time."""

    def __init__(self, queries: Sequence[Query], measure: Measure, device: torch.device) -> None:
        self._measure = measure
        self._table = AnswerTable.of(queries, device)

    def __call__(self, logits: torch.Tensor, prompts: torch.Tensor) -> Arrays:
        """Arrays `[row, ...]` for logits `[row, vocab]` of some prompts."""
        pieces = []
        few = max(1, (REDUCE if logits.device.type == "cpu" else 32 * REDUCE) // logits.shape[1])
        for start in range(0, len(logits), few):
            rows = slice(start, start + few)
            pieces.append(reduce_logits(logits[rows], self._table.rows(prompts[rows]), **asdict(self._measure)))
        whole = [torch.cat(some).cpu().numpy() for some in zip(*pieces, strict=True)]
        return dict(zip(Table.names, whole, strict=True))


def run_chunk(
    walk: Walk,
    chunk: Chunk,
    queries: Sequence[Query],
    measure: Measure,
    rows: int,
    done: Callable[[int], Any],
) -> tuple[list[int], Arrays]:
    """Sweep some recipes over some prompts.

    Returns:
        The prompts, and arrays `[recipe, prompt, ...]` in the order of `chunk.recipes`.
    """
    prompts = [query.token_ids for query in queries]
    columns = [i for group in chunk.groups for i in group.prompts]
    starts = np.cumsum([0, *(len(group.prompts) for group in chunk.groups)])
    hidden: torch.Tensor | None = None
    with closing(walk.run(chunk.trie, chunk.groups, prompts, done)) as parts:  # an error must not leave weights swapped
        for g, some, part in parts:
            if hidden is None:
                hidden = part.new_empty(chunk.trie.levels[-1].width, len(columns), part.shape[-1])
            hidden[some, starts[g] : starts[g + 1]] = part
    assert hidden is not None
    reduce = Reducer([queries[i] for i in columns], measure, hidden.device)
    arrays: Arrays = {}
    for leaf, shares in enumerate(chunk.trie.leaves):
        reads = [r for r, (_, found) in enumerate(chunk.trie.reads) if found == leaf]
        states = [chunk.trie.reads[r][0] for r in reads]
        opened = walk.weights.open_outside(("embedding", "final_norm", "head"), tables=False)
        with installed(walk.weights.model, opened.tensors(shares)):
            found = _read(walk.readout, hidden[states], rows, reduce)
        for name, array in found.items():
            whole = arrays.setdefault(name, np.empty((len(chunk.trie.reads), *array.shape[1:]), array.dtype))
            whole[reads] = array
        done(len(reads) * len(chunk.groups))
    return columns, {name: array[list(chunk.trie.ends)] for name, array in arrays.items()}


def _read(readout: Readout, hidden: torch.Tensor, rows: int, reduce: Reducer) -> Arrays:
    """Arrays `[state, prompt, ...]` of hidden states at the answer position."""
    flat = hidden.flatten(0, 1)
    columns = torch.arange(hidden.shape[1], device=hidden.device).repeat(hidden.shape[0])
    pieces = [
        reduce(readout(flat[start : start + rows]), columns[start : start + rows])
        for start in range(0, len(flat), rows)
    ]
    joined = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    return {name: array.reshape(*hidden.shape[:2], *array.shape[1:]) for name, array in joined.items()}


def run_plainly(
    pair: ModelPair,
    recipe: Recipe,
    prompts: Sequence[int],
    queries: Sequence[Query],
    measure: Measure,
    rows: int,
    done: Callable[[int], Any],
) -> Arrays:
    """One recipe by swap-and-forward; arrays `[1, prompt, ...]` in the order of `prompts`."""
    reduce = Reducer([queries[i] for i in prompts], measure, pair.tuned.device)
    arrays: Arrays = {}
    for some, logits in swap_and_forward(pair, recipe, [queries[i].token_ids for i in prompts], rows, done):
        for name, array in reduce(logits, torch.tensor(some, device=logits.device)).items():
            whole = arrays.setdefault(name, np.empty((1, len(prompts), *array.shape[1:]), array.dtype))
            whole[0, some] = array
    return arrays

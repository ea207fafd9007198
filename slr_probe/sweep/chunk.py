"""Running one chunk of a sweep: through the blocks, through the head, down to answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy import ndarray

from slr_probe.forward.budget import by_length, spans
from slr_probe.forward.readout import AnswerTable, Readout, reduce_logits
from slr_probe.forward.surgery import installed
from slr_probe.restoration.memory import restored
from slr_probe.sweep.execute import BlockRunner
from slr_probe.sweep.plan import REDUCE, Chunk
from slr_probe.sweep.settings import Measure
from slr_probe.sweep.store import Table
from slr_probe.sweep.weights import OUTSIDE

if TYPE_CHECKING:
    from jaxtyping import Float

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
        few = max(1, (REDUCE if logits.device.type == "cpu" else 32 * REDUCE) // logits.shape[1])
        pieces = [
            reduce_logits(logits[rows], self._table.rows(prompts[rows]), **asdict(self._measure))
            for rows in spans(len(logits), few)
        ]
        whole = [torch.cat(some).cpu().numpy() for some in zip(*pieces, strict=True)]
        return dict(zip(Table.names, whole, strict=True))


def run_chunk(
    runner: BlockRunner,
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
    hidden = _last_states(runner, chunk, [query.token_ids for query in queries], done)
    reduce = Reducer([queries[i] for i in chunk.prompts], measure, hidden.device)
    trie = chunk.trie
    arrays: Arrays = {}
    for leaf, shares in enumerate(trie.leaves):
        reads = [r for r, (_, of_leaf) in enumerate(trie.reads) if of_leaf == leaf]
        states = [trie.reads[r][0] for r in reads]
        opened = runner.weights.open_outside(OUTSIDE, tables=False)
        with installed(runner.weights.model, opened.tensors(shares)):
            read = _read(runner.readout, hidden[states], rows, reduce)
        for name, array in read.items():
            whole = arrays.setdefault(name, np.empty((len(trie.reads), *array.shape[1:]), array.dtype))
            whole[reads] = array
        done(len(reads) * len(chunk.groups))
    return list(chunk.prompts), {name: array[list(trie.ends)] for name, array in arrays.items()}


def _last_states(
    runner: BlockRunner, chunk: Chunk, prompts: Sequence[Sequence[int]], done: Callable[[int], Any]
) -> Float[torch.Tensor, "state prompt hidden"]:
    """Hidden states at the answer position after the last block, of all groups side by side."""
    starts = np.cumsum([0, *(len(group.prompts) for group in chunk.groups)])
    hidden: torch.Tensor | None = None
    with closing(
        runner.run(chunk.trie, chunk.groups, prompts, done)
    ) as parts:  # an error must not leave weights swapped
        for g, states, part in parts:
            if hidden is None:
                hidden = part.new_empty(chunk.trie.levels[-1].width, len(chunk.prompts), part.shape[-1])
            hidden[states, starts[g] : starts[g + 1]] = part
    assert hidden is not None
    return hidden


def _read(readout: Readout, hidden: torch.Tensor, rows: int, reduce: Reducer) -> Arrays:
    """Arrays `[state, prompt, ...]` of hidden states at the answer position."""
    flat = hidden.flatten(0, 1)
    columns = torch.arange(hidden.shape[1], device=hidden.device).repeat(hidden.shape[0])
    pieces = [reduce(readout(flat[some]), columns[some]) for some in spans(len(flat), rows)]
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
    """One recipe as a whole model, for models whose blocks cannot be replayed.

    Args:
        pair: The pair; both models are loaded.
        recipe: The hybrid.
        prompts: The prompts to run, as indices of `queries`.
        queries: All questions.
        measure: How logits are reduced.
        rows: Prompts to run at once.
        done: Called with the number of block evaluations made.

    Returns:
        Arrays `[1, prompt, ...]` in the order of `prompts`.
    """
    reduce = Reducer([queries[i] for i in prompts], measure, pair.tuned.device)
    arrays: Arrays = {}
    for some, logits in _swap_and_forward(pair, recipe, [queries[i].token_ids for i in prompts], rows):
        for name, array in reduce(logits, torch.tensor(some, device=logits.device)).items():
            whole = arrays.setdefault(name, np.empty((1, len(prompts), *array.shape[1:]), array.dtype))
            whole[0, some] = array
        done(len(some) * pair.depth)
    return arrays


def _swap_and_forward(
    pair: ModelPair, recipe: Recipe, prompts: Sequence[Sequence[int]], rows: int
) -> Iterator[tuple[list[int], Float[torch.Tensor, "row vocab"]]]:
    """Prompt numbers and next-token logits of one hybrid; prompts of one length share a batch, none is padded."""
    with restored(pair, recipe) as hybrid:
        only_last = {"logits_to_keep": 1} if "logits_to_keep" in signature(hybrid.forward).parameters else {}
        for some in by_length([len(prompt) for prompt in prompts], rows=rows, equal=True):
            ids = torch.tensor([list(prompts[i]) for i in some], device=hybrid.device)
            yield some, hybrid(input_ids=ids, use_cache=False, **only_last).logits[:, -1]

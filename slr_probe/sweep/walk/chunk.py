"""Running one chunk of a sweep: through the blocks, through the head, down to what is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy import ndarray

from slr_probe.forward.device import as_index
from slr_probe.forward.surgery import installed
from slr_probe.sweep.plan import Chunk, Schedule
from slr_probe.sweep.reads.rows import Arrays, Asked, ReferenceLogits, Row
from slr_probe.sweep.walk.execute import BlockRunner
from slr_probe.sweep.weights import OUTSIDE, Tensors

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def run_chunk(
    runner: BlockRunner,
    chunk: Chunk,
    asked: Asked,
    most: int,
    done: Callable[[int], Any],
    reference: ReferenceLogits | None = None,
) -> Arrays:
    """Sweep some recipes over some rows.

    Args:
        runner: How blocks are run.
        chunk: The recipes and rows.
        asked: All questions.
        most: Rows of logits to compute at once.
        done: Called with the number of block evaluations made.
        reference: What replies are compared with.

    Returns:
        Arrays `[recipe, read, ...]`, recipes and rows in the order of the chunk.
    """
    hidden, trie = last_states(runner, chunk, asked.rows, done), chunk.trie
    arrays: Arrays = {}
    for leaf, shares in enumerate(trie.leaves):
        reads = [r for r, (_, of_leaf) in enumerate(trie.reads) if of_leaf == leaf]
        states = torch.tensor([trie.reads[r][0] for r in reads], device=hidden.device)
        with installed(runner.weights.model, _head(runner, shares)):
            for part in asked.parts(chunk.rows):
                columns = torch.from_numpy(part.columns).to(hidden.device)
                read = part.read(runner.readout, hidden[states[:, None], columns], most, reference)
                for name, array in read.items():
                    whole = arrays.setdefault(name, np.empty((len(trie.reads), *array.shape[1:]), array.dtype))
                    whole[reads] = array
        done(len(reads) * len(chunk.groups))
    return {name: array[list(trie.ends)] for name, array in arrays.items()}


def last_states(
    runner: BlockRunner, chunk: Chunk, rows: Sequence[Row], done: Callable[[int], Any]
) -> Float[torch.Tensor, "state read hidden"]:
    """Hidden states after the last block at all positions that are read, of all groups side by side."""
    starts = np.cumsum([0, *(group.count for group in chunk.groups)])
    hidden: torch.Tensor | None = None
    with closing(runner.run(chunk.trie, chunk.groups, rows, done)) as parts:  # an error must not leave weights swapped
        for g, states, part in parts:
            if hidden is None:
                hidden = part.new_empty(chunk.trie.levels[-1].width, int(starts[-1]), part.shape[-1])
            hidden[as_index(states, part.device), starts[g] : starts[g + 1]] = part
    assert hidden is not None
    return hidden


@dataclass(frozen=True)
class ReferenceStates:
    """What the reference recipe says at every read of the replies, as the hidden states that it is computed from.

    Attributes:
        runner: How blocks are run.
        hidden: Hidden states after the last block.
        head: The reference's final norm and head.
    """

    runner: BlockRunner
    hidden: Float[torch.Tensor, "read hidden"]
    head: Tensors

    def __call__(self, reads: Int[ndarray, " read"]) -> Float[torch.Tensor, "read vocab"]:
        """Logits at some reads."""
        with installed(self.runner.weights.model, self.head):
            return self.runner.readout(self.hidden[torch.from_numpy(reads).to(self.hidden.device)])


def run_reference(runner: BlockRunner, schedule: Schedule, asked: Asked) -> ReferenceStates:
    """Run the reference recipe, alone in its schedule, on the rows that are compared with it."""
    whole: torch.Tensor | None = None
    for chunk in schedule.chunks:
        hidden = last_states(runner, chunk, asked.rows, lambda _: None)[0]
        (part,) = asked.parts(chunk.rows)
        if whole is None:
            whole = hidden.new_empty(sum(len(row.reads) for row in part.reader.rows), hidden.shape[-1])
        whole[torch.from_numpy(part.reads).to(hidden.device)] = hidden
    assert whole is not None
    return ReferenceStates(runner, whole, _head(runner, schedule.chunks[0].trie.leaves[0]))


def _head(runner: BlockRunner, shares: Any) -> Tensors:
    return runner.weights.open_outside(OUTSIDE, tables=False).tensors(shares)

"""Walking a trie of recipes breadth-first: one block at a time, every distinct prefix once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from slr_probe.forward.budget import runs
from slr_probe.forward.capture import Capture, Geometry
from slr_probe.forward.device import as_index
from slr_probe.forward.kv_cache import KVCache
from slr_probe.forward.questions import padded
from slr_probe.forward.readout import Readout
from slr_probe.forward.surgery import StopForward, installed
from slr_probe.sweep.ahead import BlocksInTurn
from slr_probe.sweep.prefixes.groups import Group
from slr_probe.sweep.prefixes.trie import Level, Trie, schedule
from slr_probe.sweep.reads.rows import Row

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from slr_probe.forward.kv_cache import KeyValue
    from slr_probe.sweep.weights import Weights

    States = Float[torch.Tensor, "state row token hidden"]
    Prefix = tuple[int, ...]

_MORE_STATES_IN_LAST_BLOCK = 4
"""Where the last block runs few tokens of a row, it takes this many times more states at once."""


class StatePool:
    """Hidden states of many prefixes in one tensor, whose places are used again as soon as a state is spent.

    Memory is that of `size` states and never more, whatever the order in which states come and go.

    Args:
        size: Most states that are held at once; see `Trie.peak_states`.
    """

    def __init__(self, size: int) -> None:
        self._free = list(range(size))
        self._places: dict[int, int] = {}
        self._parents: dict[int, int] = {}
        self._level: Level | None = None
        self._left: Counter[int] = Counter()
        self._data: torch.Tensor | None = None

    def __contains__(self, state: int) -> bool:
        return state in self._places

    @property
    def shape(self) -> torch.Size:
        """Shape of one state."""
        assert self._data is not None
        return self._data.shape[1:]

    def enter(self, level: Level) -> None:
        """From now on states are taken as parents of this level, and those put are its children."""
        self._level, self._left = level, Counter(level.parents)
        self._parents, self._places = self._places, {}

    def take(self, children: list[int]) -> Float[torch.Tensor, "state ..."]:
        """A copy of the parents of some children; a parent is dropped with its last child."""
        assert self._level is not None
        assert self._data is not None
        parents = [self._level.parents[child] for child in children]
        states = self._data[as_index([self._parents[parent] for parent in parents], self._data.device)]
        for parent in parents:
            self._left[parent] -= 1
            if not self._left[parent]:
                self._free.append(self._parents.pop(parent))
        return states

    def put(self, states: list[int], data: Float[torch.Tensor, "state ..."]) -> None:
        """Hold the hidden states of some states."""
        if self._data is None:
            self._data = data.new_empty((len(self._free), *data.shape[1:]))
        places = [self._free.pop() for _ in states]
        self._data[as_index(places, data.device)] = data
        self._places.update(zip(states, places, strict=True))


@dataclass(frozen=True)
class BlockRunner:
    """How blocks are run.

    Attributes:
        capture: Calls of the blocks.
        weights: Their weights.
        batch: Number of tokens to run at once, about.
        split: Whether keys of earlier tokens can be kept apart, so that shared tokens are run once and the last
            block is run for the positions that are read only.
        unsplit: Why they cannot, where they cannot.
        ahead: Whether the weights of the next block are read while one runs.
    """

    capture: Capture
    weights: Weights
    batch: int
    split: bool = True
    unsplit: str = ""
    ahead: bool = False

    @property
    def readout(self) -> Readout:
        """The model's own final norm and head."""
        return Readout(self.capture.model, in_tuple=self.capture.in_tuple)

    @property
    def _binary(self) -> bool:
        return self.weights.device.type == "cpu"

    def run(
        self, trie: Trie, groups: Sequence[Group], rows: Sequence[Row], done: Callable[[int], Any]
    ) -> Generator[tuple[int, list[int], Float[torch.Tensor, "state read hidden"]]]:
        """Hidden states at the positions that are read after the last block, for every prefix of recipes.

        Args:
            trie: The prefixes.
            groups: The rows to run, in groups.
            rows: All rows.
            done: Called with the number of block evaluations that have been made (a state and a group is one).

        Yields:
            Group index, state numbers, and their hidden states.
        """
        prefixes = [group.prefix(rows) for group in groups]
        variants = [level.variants for level in trie.levels]
        with BlocksInTurn(self.weights, variants, ahead=self.ahead) as blocks:
            shared, rest = self._embed(trie, groups, rows, prefixes)
            for block, (level, opened) in enumerate(zip(trie.levels, blocks, strict=True)):
                for pool in (*shared.values(), *rest):
                    pool.enter(level)
                for choice, children in schedule(level):
                    with installed(self.capture.decoder.blocks[block], opened.tensors(level.variants[choice])):
                        for g, some, left in self._variant(block, children, groups, prefixes, shared, rest):
                            if block == len(trie.levels) - 1:
                                yield g, some, left
                            else:
                                rest[g].put(some, left)
                            done(len(some))

    def _variant(
        self,
        block: int,
        children: list[int],
        groups: Sequence[Group],
        prefixes: Sequence[Prefix],
        shared: Mapping[Prefix, StatePool],
        rest: Sequence[StatePool],
    ) -> Iterator[tuple[int, list[int], States | Float[torch.Tensor, "state read hidden"]]]:
        """One block with one set of weights: group index, state numbers, and the states that leave it.

        Those of the last block are at the positions that are read only.
        """
        last = block == len(self.capture.decoder.blocks) - 1
        keys = {prefix: self._keys(block, children, pool, last) for prefix, pool in shared.items()}
        for g, group in enumerate(groups):
            of_state = keys.get(prefixes[g])
            run = self.last if last else self.advance
            for some in self._runs(children, group, last):
                before = None if of_state is None else [of_state[child] for child in some]
                yield g, some, run(block, group, rest[g].take(some), before)

    def prefix(
        self, block: int, states: Float[torch.Tensor, "state token hidden"], *, stop: bool = False
    ) -> tuple[Float[torch.Tensor, "state token hidden"] | None, list[KeyValue]]:
        """Run one block on tokens that rows share.

        Returns:
            Hidden states that leave the block (None with `stop`), and the keys and values of each state.
        """
        cache, left = KVCache(stop=stop), None
        with suppress(StopForward):
            left = self.capture.run(block, states, Geometry(states.shape[1], 0, True), cache)
        assert cache.new is not None
        keys, values = cache.new
        return left, list(zip(torch.split(keys, 1), torch.split(values, 1), strict=True))

    def advance(self, block: int, group: Group, states: States, before: list[KeyValue] | None) -> States:
        """Run one block on the tokens of a group after the shared ones, whose keys are `before`."""
        every = states.flatten(0, 1)
        if before is None:
            return self.capture.run(block, every, Geometry(group.padded)).reshape(states.shape)
        cache = KVCache(group.shared, _repeated(before, len(group.rows)))
        geometry = Geometry(group.padded, group.shared, True)
        return self.capture.run(block, every, geometry, cache).reshape(states.shape)

    def last(
        self, block: int, group: Group, states: States, before: list[KeyValue] | None
    ) -> Float[torch.Tensor, "state read hidden"]:
        """Run one block for the positions that are read only, where keys can be told apart from the rest of a block.

        Where most positions are read, all are run.
        """
        rows, positions = group.places
        device = states.device
        if not self.split or group.reads_most:
            own = as_index((positions - group.shared).tolist(), device)
            return self.advance(block, group, states, before)[:, as_index(rows.tolist(), device), own]
        earlier = _repeated(before, len(group.rows)) if before is not None else None
        if group.padded > 1:
            cache = KVCache(group.shared, earlier, stop=True)
            geometry = Geometry(group.padded - 1, group.shared, True)
            with suppress(StopForward):
                self.capture.run(block, states[:, :, :-1].flatten(0, 1), geometry, cache)
            earlier = cache.joined
        out = states.new_empty(states.shape[0], len(rows), states.shape[3])
        for position in sorted(set(positions.tolist())):
            reads = (positions == position).nonzero()[0]
            some = as_index(rows[reads].tolist(), device)
            tokens = states[:, some, position - group.shared].flatten(0, 1)[:, None]
            if earlier is None or position == 0:  # rows of one token
                hidden = self.capture.run(block, tokens, Geometry(1))
            else:
                keys, values = (_rows(part, len(states), some, position) for part in earlier)
                cache = KVCache(position, (keys, values))
                hidden = self.capture.run(block, tokens, Geometry(1, position, True), cache)
            out[:, as_index(reads.tolist(), device)] = hidden.reshape(len(states), len(reads), -1)
        return out

    def warm(self, group: Group) -> None:
        """Capture every call that the group needs; the embedding must hold weights."""
        shapes = [Geometry(group.padded, group.shared, group.shared > 0)]
        if group.shared:
            shapes.append(Geometry(group.shared, 0, True))
        if self.split and not group.reads_most:
            if group.padded > 1:
                shapes.append(Geometry(group.padded - 1, group.shared, True))
            positions = sorted(set(group.places[1].tolist()))
            shapes += [Geometry(1, position, True) if position else Geometry(1) for position in positions]
        for shape in shapes:
            self.capture.calls(shape)

    def _embed(
        self, trie: Trie, groups: Sequence[Group], rows: Sequence[Row], prefixes: list[Prefix]
    ) -> tuple[dict[Prefix, StatePool], list[StatePool]]:
        """The states that enter the first block: those of shared prefixes, and of what follows them in each group."""
        size = trie.peak_states()
        shared = {prefix: StatePool(size) for prefix in prefixes if prefix}
        rest = [StatePool(size) for _ in groups]
        for root, shares in enumerate(trie.roots):
            opened = self.weights.open_outside(("embedding",))  # anew: one table at a time, and each is read once
            with installed(self.capture.model, opened.tensors(shares)):
                for group, prefix, pool in zip(groups, prefixes, rest, strict=True):
                    ids = torch.tensor(padded([rows[i].token_ids for i in group.rows]), device=self.weights.device)
                    hidden = self.capture.embed(ids)
                    pool.put([root], hidden[None, :, group.shared :])
                    if prefix and root not in shared[prefix]:
                        shared[prefix].put([root], hidden[:1, : group.shared])
                    self.warm(group)
        return shared, rest

    def _keys(self, block: int, children: list[int], pool: StatePool, last: bool) -> Mapping[int, KeyValue]:
        """Keys and values of a shared prefix by state; in the last block nothing but keys is wanted."""
        keys: dict[int, KeyValue] = {}
        for some in runs(children, self.batch // pool.shape[0], binary=self._binary):
            left, of_states = self.prefix(block, pool.take(some), stop=last)
            keys.update(zip(some, of_states, strict=True))
            if left is not None:
                pool.put(some, left)
        return keys

    def _runs(self, children: list[int], group: Group, last: bool) -> Generator[list[int]]:
        few = last and self.split and not group.reads_most
        tokens = self.batch * (_MORE_STATES_IN_LAST_BLOCK if few else 1)
        yield from runs(children, tokens // group.tokens, binary=self._binary)


def _repeated(pairs: list[KeyValue], times: int) -> KeyValue:
    """Keys and values of some states as one batch, each `times` times in a row."""
    keys, values = (torch.cat(some).repeat_interleave(times, 0) for some in zip(*pairs, strict=True))
    return keys, values


def _rows(part: torch.Tensor, states: int, rows: Int[torch.Tensor, " row"], tokens: int) -> torch.Tensor:
    """Keys or values of the first tokens of some rows, for every state."""
    return part.reshape(states, -1, *part.shape[1:])[:, rows, ..., :tokens, :].flatten(0, 1)

"""Walking a trie of recipes breadth-first: one block at a time, every distinct prefix once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from slr_probe.forward.budget import runs
from slr_probe.forward.capture import Capture, Geometry
from slr_probe.forward.kv_cache import KVCache
from slr_probe.forward.questions import padded
from slr_probe.forward.readout import Readout
from slr_probe.forward.surgery import StopForward, installed
from slr_probe.sweep.groups import Group
from slr_probe.sweep.pool import Pool
from slr_probe.sweep.trie import Trie, schedule

if TYPE_CHECKING:
    from jaxtyping import Float

    from slr_probe.forward.kv_cache import KeyValue
    from slr_probe.sweep.weights import Weights

    States = Float[torch.Tensor, "state prompt token hidden"]

_LAST = 4
"""The last block runs one token a prompt, so it takes this many times more states at once."""


@dataclass(frozen=True)
class Walk:
    """How blocks are run.

    Attributes:
        capture: Calls of the blocks.
        weights: Their weights.
        batch: Number of tokens to run at once, about.
        split: Whether keys of earlier tokens can be kept apart, so that shared tokens are run once and the last
            block is run for the answer position only.
    """

    capture: Capture
    weights: Weights
    batch: int
    split: bool = True

    @property
    def readout(self) -> Readout:
        """The model's final norm and head."""
        return Readout(self.capture.model, in_tuple=self.capture.returns_tuple)

    @property
    def _binary(self) -> bool:
        return self.weights.device.type == "cpu"

    def run(
        self, trie: Trie, groups: Sequence[Group], prompts: Sequence[Sequence[int]], done: Callable[[int], Any]
    ) -> Generator[tuple[int, list[int], Float[torch.Tensor, "state prompt hidden"]]]:
        """Hidden states at the answer position after the last block, for every prefix of recipes.

        Args:
            trie: The prefixes.
            groups: The prompts, in groups.
            prompts: Token ids of all prompts.
            done: Called with the number of block evaluations that have been made (a state and a group is one).

        Yields:
            Group index, state numbers, and their hidden states.
        """
        openings = [tuple(prompts[group.prompts[0]][: group.shared]) for group in groups]
        kinds = list(dict.fromkeys(opening for opening in openings if opening))
        shared, rest = self._embed(trie, groups, prompts, kinds, openings)
        for block, level in enumerate(trie.levels):
            last = block == len(trie.levels) - 1
            opened = self.weights.open_block(block)
            for pool in (*shared, *rest):
                pool.enter(level)
            for choice, children in schedule(level):
                with installed(self.capture.decoder.blocks[block], opened.tensors(level.variants[choice])):
                    keys = [self._prefixes(block, children, pool, stop=last) for pool in shared]
                    for g, group in enumerate(groups):
                        own = keys[kinds.index(openings[g])] if openings[g] else None
                        size = self.batch * (_LAST if last and self.split else 1) // group.tokens
                        for some in runs(children, size, binary=self._binary):
                            states = rest[g].take(some)
                            before = [own[child] for child in some] if own is not None else None
                            if last:
                                yield g, some, self.last(block, group, states, before)
                            else:
                                rest[g].put(some, self.advance(block, group, states, before))
                            done(len(some))

    def prefix(
        self, block: int, states: Float[torch.Tensor, "state token hidden"], *, stop: bool = False
    ) -> tuple[Float[torch.Tensor, "state token hidden"] | None, list[KeyValue]]:
        """Run one block on tokens that prompts share.

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
        if before is None:
            return self.capture.run(block, states.flatten(0, 1), Geometry(group.padded)).reshape(states.shape)
        cache = KVCache(group.shared, _repeated(before, len(group.prompts)))
        geometry = Geometry(group.padded, group.shared, True)
        return self.capture.run(block, states.flatten(0, 1), geometry, cache).reshape(states.shape)

    def last(
        self, block: int, group: Group, states: States, before: list[KeyValue] | None
    ) -> Float[torch.Tensor, "state prompt hidden"]:
        """Run one block for the answer positions only, where keys can be told apart from the rest of a block."""
        if not self.split:
            left = self.capture.run(block, states.flatten(0, 1), Geometry(group.padded)).reshape(states.shape)
            return torch.stack([left[:, i, length - 1] for i, length in enumerate(group.lengths)], 1)
        earlier = _repeated(before, len(group.prompts)) if before is not None else None
        if group.padded > 1:
            cache = KVCache(group.shared, earlier, stop=True)
            with suppress(StopForward):
                self.capture.run(
                    block, states[:, :, :-1].flatten(0, 1), Geometry(group.padded - 1, group.shared, True), cache
                )
            earlier = cache.joined
        out = states.new_empty(states.shape[0], states.shape[1], states.shape[3])
        for length in sorted(set(group.lengths)):
            rows = [i for i, other in enumerate(group.lengths) if other == length]
            answer = states[:, rows, length - 1 - group.shared].flatten(0, 1)[:, None]
            if earlier is None:  # prompts of one token
                hidden = self.capture.run(block, answer, Geometry(1))
            else:
                keys, values = (_rows(part, len(states), rows, length - 1) for part in earlier)
                hidden = self.capture.run(
                    block, answer, Geometry(1, length - 1, True), KVCache(length - 1, (keys, values))
                )
            out[:, rows] = hidden.reshape(len(states), len(rows), -1)
        return out

    def warm(self, group: Group) -> None:
        """Capture every call that the group needs; the embedding must hold weights."""
        shapes = [Geometry(group.padded, group.shared, group.shared > 0)]
        if group.shared:
            shapes.append(Geometry(group.shared, 0, True))
        if self.split:
            if group.padded > 1:
                shapes.append(Geometry(group.padded - 1, group.shared, True))
            shapes += [Geometry(1, length - 1, True) if length > 1 else Geometry(1) for length in set(group.lengths)]
        for shape in shapes:
            self.capture.calls(shape)

    def _embed(
        self,
        trie: Trie,
        groups: Sequence[Group],
        prompts: Sequence[Sequence[int]],
        kinds: list[tuple[int, ...]],
        openings: list[tuple[int, ...]],
    ) -> tuple[list[Pool], list[Pool]]:
        """The states that enter the first block: those of shared openings, and of what follows them."""
        size = trie.peak_states()
        shared, rest = [Pool(size) for _ in kinds], [Pool(size) for _ in groups]
        for root, shares in enumerate(trie.roots):
            opened = self.weights.open_outside(("embedding",))  # anew: one table at a time, and each is read once
            with installed(self.capture.model, opened.tensors(shares)):
                for g, group in enumerate(groups):
                    hidden = self.capture.embed(
                        torch.tensor(padded([prompts[i] for i in group.prompts]), device=self.weights.device)
                    )
                    rest[g].put([root], hidden[None, :, group.shared :])
                    if openings[g] and root not in shared[kinds.index(openings[g])]:
                        shared[kinds.index(openings[g])].put([root], hidden[:1, : group.shared])
                    self.warm(group)
        return shared, rest

    def _prefixes(self, block: int, children: list[int], pool: Pool, *, stop: bool) -> dict[int, KeyValue]:
        keys: dict[int, KeyValue] = {}
        for some in runs(children, self.batch // pool.shape[0], binary=self._binary):
            left, found = self.prefix(block, pool.take(some), stop=stop)
            keys.update(zip(some, found, strict=True))
            if left is not None:
                pool.put(some, left)
        return keys


def _repeated(pairs: list[KeyValue], times: int) -> KeyValue:
    """Keys and values of some states as one batch, each `times` times in a row."""
    keys, values = (torch.cat(some).repeat_interleave(times, 0) for some in zip(*pairs, strict=True))
    return keys, values


def _rows(part: torch.Tensor, states: int, rows: list[int], tokens: int) -> torch.Tensor:
    """Keys or values of the first tokens of some prompts, for every state."""
    return part.reshape(states, -1, *part.shape[1:])[:, rows, ..., :tokens, :].flatten(0, 1)

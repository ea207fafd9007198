"""Walking a trie of recipes breadth-first: one block at a time, every distinct prefix once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from slr_probe.sweep.capture import Capture, Geometry
from slr_probe.sweep.groups import Group
from slr_probe.sweep.keys import Keys, Stopped
from slr_probe.sweep.surgery import installed
from slr_probe.sweep.trie import Level, Trie, schedule

if TYPE_CHECKING:
    from jaxtyping import Float

    from slr_probe.sweep.keys import Pair
    from slr_probe.sweep.weights import Weights

    Shared = Float[torch.Tensor, "token hidden"]
    Rest = Float[torch.Tensor, "prompt token hidden"]

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
            next_shared, next_rest = [_Children(level) for _ in kinds], [_Children(level) for _ in groups]
            for choice, children in schedule(level):
                with installed(self.capture.decoder.blocks[block], opened.tensors(level.variants[choice])):
                    keys = [
                        self._prefixes(block, children, shared[k], next_shared[k], stop=last) for k in range(len(kinds))
                    ]
                    for g, group in enumerate(groups):
                        own = keys[kinds.index(openings[g])] if openings[g] else None
                        size = self.batch * (_LAST if last and self.split else 1) // group.tokens
                        for some in _batches(children, size):
                            states = next_rest[g].take(rest[g], some)
                            before = [own[child] for child in some] if own is not None else None
                            if last:
                                yield g, some, self.last(block, group, states, before)
                            else:
                                next_rest[g].put(some, self.advance(block, group, states, before))
                            done(len(some))
            shared, rest = [kept.made for kept in next_shared], [kept.made for kept in next_rest]

    def prefix(self, block: int, states: list[Shared], *, stop: bool = False) -> tuple[list[Shared] | None, list[Pair]]:
        """Run one block on tokens that prompts share.

        Returns:
            Hidden states that leave the block (None with `stop`), and the keys and values of each state.
        """
        hidden, cache = torch.stack(states), Keys(stop=stop)
        left = None
        with suppress(Stopped):
            left = list(self.capture.run(block, hidden, Geometry(hidden.shape[1], 0, True), cache))
        assert cache.found is not None
        keys, values = cache.found
        return left, list(zip(keys.split(1), values.split(1), strict=True))  # type: ignore[no-untyped-call]

    def advance(self, block: int, group: Group, states: list[Rest], before: list[Pair] | None) -> list[Rest]:
        """Run one block on the tokens of a group after the shared ones, whose keys are `before`."""
        rest = torch.cat(states)
        if before is None:
            rest = self.capture.run(block, rest, Geometry(group.padded))
        else:
            cache = Keys(group.shared, _repeated(before, len(group.prompts)))
            rest = self.capture.run(block, rest, Geometry(group.padded, group.shared, True), cache)
        return list(torch.split(rest, len(group.prompts)))

    def last(
        self, block: int, group: Group, states: list[Rest], before: list[Pair] | None
    ) -> Float[torch.Tensor, "state prompt hidden"]:
        """Run one block for the answer positions only, where keys can be told apart from the rest of a block."""
        rest = torch.stack(states)
        if not self.split:
            rest = self.capture.run(block, rest.flatten(0, 1), Geometry(group.padded)).reshape(rest.shape)
            return torch.stack([rest[:, i, length - 1] for i, length in enumerate(group.lengths)], 1)
        earlier = _repeated(before, len(group.prompts)) if before is not None else None
        if group.padded > 1:
            cache = Keys(group.shared, earlier, stop=True)
            with suppress(Stopped):
                self.capture.run(
                    block, rest[:, :, :-1].flatten(0, 1), Geometry(group.padded - 1, group.shared, True), cache
                )
            earlier = cache.joined
        out = rest.new_empty(rest.shape[0], rest.shape[1], rest.shape[3])
        for length in sorted(set(group.lengths)):
            rows = [i for i, other in enumerate(group.lengths) if other == length]
            answer = rest[:, rows, length - 1 - group.shared].flatten(0, 1)[:, None]
            if earlier is None:  # prompts of one token
                hidden = self.capture.run(block, answer, Geometry(1))
            else:
                keys, values = (_rows(part, len(states), rows, length - 1) for part in earlier)
                hidden = self.capture.run(
                    block, answer, Geometry(1, length - 1, True), Keys(length - 1, (keys, values))
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
    ) -> tuple[list[dict[int, Shared]], list[dict[int, Rest]]]:
        shared: list[dict[int, Shared]] = [{} for _ in kinds]
        rest: list[dict[int, Rest]] = [{} for _ in groups]
        opened = self.weights.open_outside(("embedding",))
        for root, shares in enumerate(trie.roots):
            with installed(self.capture.model, opened.tensors(shares)):
                for g, group in enumerate(groups):
                    hidden = self.capture.embed(padded([prompts[i] for i in group.prompts], self.weights.device))
                    rest[g][root] = hidden[:, group.shared :].contiguous()
                    if openings[g]:
                        shared[kinds.index(openings[g])][root] = hidden[0, : group.shared].clone()
                    self.warm(group)
        return shared, rest

    def _prefixes(
        self, block: int, children: list[int], states: dict[int, Shared], made: _Children, *, stop: bool
    ) -> dict[int, Pair]:
        keys: dict[int, Pair] = {}
        length = len(next(iter(states.values())))
        for some in _batches(children, self.batch // length):
            left, found = self.prefix(block, made.take(states, some), stop=stop)
            keys.update(zip(some, found, strict=True))
            if left is not None:
                made.put(some, left)
        return keys


class _Children:
    """States that leave a block; a parent is dropped once its last child has taken it."""

    def __init__(self, level: Level) -> None:
        self._parents, self._left = level.parents, Counter(level.parents)
        self.made: dict[int, torch.Tensor] = {}

    def take(self, parents: dict[int, torch.Tensor], children: list[int]) -> list[torch.Tensor]:
        found = [parents[self._parents[child]] for child in children]
        for child in children:
            parent = self._parents[child]
            self._left[parent] -= 1
            if not self._left[parent]:
                del parents[parent]
        return found

    def put(self, children: list[int], states: list[torch.Tensor]) -> None:
        self.made.update(zip(children, states, strict=True))


def padded(prompts: Sequence[Sequence[int]], device: torch.device) -> torch.Tensor:
    """Token ids as one batch; shorter prompts repeat their last token on the right, where nothing looks at it."""
    longest = max(map(len, prompts))
    rows = [[*prompt, *[prompt[-1]] * (longest - len(prompt))] for prompt in prompts]
    return torch.tensor(rows, device=device)


def _repeated(pairs: list[Pair], times: int) -> Pair:
    """Keys and values of some states as one batch, each `times` times in a row."""
    keys, values = (torch.cat(some).repeat_interleave(times, 0) for some in zip(*pairs, strict=True))
    return keys, values


def _rows(part: torch.Tensor, states: int, rows: list[int], tokens: int) -> torch.Tensor:
    """Keys or values of the first tokens of some prompts, for every state."""
    return part.reshape(states, -1, *part.shape[1:])[:, rows, ..., :tokens, :].flatten(0, 1)


def _batches(items: list[int], size: int) -> Iterator[list[int]]:
    size = max(size, 1)
    for start in range(0, len(items), size):
        yield items[start : start + size]

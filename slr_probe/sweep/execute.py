"""Walking a trie of recipes breadth-first: one block at a time, every distinct prefix once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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

    from slr_probe.sweep.weights import Weights


@dataclass(frozen=True)
class State:
    """Hidden states of one prefix of recipes for one group of prompts.

    Attributes:
        shared: Those of the tokens that all prompts of the group share; None where there are none.
        rest: Those of the tokens after them, padded on the right.
    """

    shared: Float[torch.Tensor, "shared hidden"] | None
    rest: Float[torch.Tensor, "prompt token hidden"]


@dataclass(frozen=True)
class Walk:
    """How the blocks are run.

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
        self,
        trie: Trie,
        groups: Sequence[Group],
        prompts: Sequence[Sequence[int]],
        done: Callable[[int], Any],
    ) -> Iterator[tuple[int, list[int], Float[torch.Tensor, "state prompt hidden"]]]:
        """Hidden states at the answer position after the last block, for every prefix.

        Args:
            trie: The prefixes.
            groups: The prompts, in groups.
            prompts: Token ids of all prompts.
            done: Called with the number of block evaluations that have been made (a state and a group is one).

        Yields:
            Group index, state numbers, and their hidden states.
        """
        states = self._embed(trie, groups, prompts)
        depth = len(trie.levels)
        for block, level in enumerate(trie.levels):
            last = block == depth - 1
            following: list[dict[int, State]] = [{} for _ in groups]
            opened = self.weights.open_block(block)
            left = _children(level, len(groups))
            for choice, children in schedule(level):
                with installed(self.capture.decoder.blocks[block], opened.tensors(level.variants[choice])):
                    for g, group in enumerate(groups):
                        for some in _batches(children, self.batch // max(group.tokens, 1)):
                            parents = [states[g][level.parents[child]] for child in some]
                            if last:
                                yield g, some, self.last(block, group, parents)
                            else:
                                following[g].update(zip(some, self.advance(block, group, parents), strict=True))
                            del parents
                            for child in some:
                                parent = level.parents[child]
                                left[g][parent] -= 1
                                if not left[g][parent]:
                                    del states[g][parent]
                            done(len(some))
            states = following

    def warm(self, group: Group) -> None:
        """Capture every call that the group needs; the embedding must hold weights."""
        shapes = [Geometry(group.padded, group.shared, self.split and group.shared > 0)]
        if group.shared:
            shapes.append(Geometry(group.shared, 0, True))
        if self.split and group.padded > 1:
            shapes.append(Geometry(group.padded - 1, group.shared, True))
        if self.split:
            shapes += [Geometry(1, length - 1, True) if length > 1 else Geometry(1) for length in set(group.lengths)]
        for shape in shapes:
            self.capture.calls(shape)

    def _embed(self, trie: Trie, groups: Sequence[Group], prompts: Sequence[Sequence[int]]) -> list[dict[int, State]]:
        states: list[dict[int, State]] = [{} for _ in groups]
        opened = self.weights.open_outside(("embedding",))
        for root, shares in enumerate(trie.roots):
            with installed(self.capture.model, opened.tensors(shares)):
                for g, group in enumerate(groups):
                    hidden = self.capture.embed(padded([prompts[i] for i in group.prompts], self.weights.device))
                    shared = hidden[0, : group.shared].clone() if group.shared else None
                    states[g][root] = State(shared, hidden[:, group.shared :].contiguous())
                    self.warm(group)
        return states

    def advance(self, block: int, group: Group, states: list[State]) -> list[State]:
        """Run one block on some states."""
        rest = torch.cat([state.rest for state in states])
        if not group.shared:
            rest = self.capture.run(block, rest, Geometry(group.padded))
            return [State(None, part) for part in torch.split(rest, len(group.prompts))]
        shared, cache = self._shared(block, group, states, stop=False)
        assert shared is not None
        rest = self.capture.run(block, rest, Geometry(group.padded, group.shared, True), cache)
        return [State(s, r) for s, r in zip(shared, torch.split(rest, len(group.prompts)), strict=True)]

    def last(self, block: int, group: Group, states: list[State]) -> Float[torch.Tensor, "state prompt hidden"]:
        """Run the last block, for the answer positions only where that can be told apart."""
        rest = torch.stack([state.rest for state in states])
        if not self.split:
            rest = self.capture.run(block, rest.flatten(0, 1), Geometry(group.padded)).reshape(rest.shape)
            answers = [rest[:, i, length - 1] for i, length in enumerate(group.lengths)]
            return torch.stack(answers, 1)
        earlier = None
        if group.shared:
            _, cache = self._shared(block, group, states, stop=True)
            earlier = cache.earlier
        if group.padded > 1:
            cache = Keys(group.shared, earlier, stop=True)
            geometry = Geometry(group.padded - 1, group.shared, True)
            self._only_keys(block, rest[:, :, :-1].flatten(0, 1), geometry, cache)
            earlier = cache.joined
        out = torch.empty(rest.shape[0], rest.shape[1], rest.shape[3], dtype=rest.dtype, device=rest.device)
        for length in sorted(set(group.lengths)):
            rows = [i for i, other in enumerate(group.lengths) if other == length]
            answer = rest[:, rows, length - 1 - group.shared].flatten(0, 1)[:, None]
            if earlier is None:  # a prompt of one token
                hidden = self.capture.run(block, answer, Geometry(1))
            else:
                keys, values = (_rows(part, len(states), rows, length - 1) for part in earlier)
                cache = Keys(length - 1, (keys, values))
                hidden = self.capture.run(block, answer, Geometry(1, length - 1, True), cache)
            out[:, rows] = hidden.reshape(len(states), len(rows), -1)
        return out

    def _shared(self, block: int, group: Group, states: list[State], *, stop: bool) -> tuple[torch.Tensor | None, Keys]:
        """Run the shared tokens, and hand their keys on to every prompt of the group."""
        shared = torch.stack([state.shared for state in states if state.shared is not None])
        cache, geometry = Keys(stop=stop), Geometry(group.shared, 0, True)
        if stop:
            self._only_keys(block, shared, geometry, cache)
            out = None
        else:
            out = self.capture.run(block, shared, geometry, cache)
        return out, Keys(group.shared, cache.repeated(len(group.prompts)))

    def _only_keys(self, block: int, hidden: torch.Tensor, geometry: Geometry, cache: Keys) -> None:
        try:
            self.capture.run(block, hidden, geometry, cache)
        except Stopped:
            return


def padded(prompts: Sequence[Sequence[int]], device: torch.device) -> torch.Tensor:
    """Token ids as one batch; shorter prompts repeat their last token on the right, where nothing looks at it."""
    longest = max(map(len, prompts))
    rows = [[*prompt, *[prompt[-1]] * (longest - len(prompt))] for prompt in prompts]
    return torch.tensor(rows, device=device)


def _rows(part: torch.Tensor, states: int, rows: list[int], tokens: int) -> torch.Tensor:
    """Keys or values of the first tokens of some prompts, for every state."""
    return part.reshape(states, -1, *part.shape[1:])[:, rows, ..., :tokens, :].flatten(0, 1)


def _children(level: Level, groups: int) -> list[dict[int, int]]:
    counts: dict[int, int] = {}
    for parent in level.parents:
        counts[parent] = counts.get(parent, 0) + 1
    return [dict(counts) for _ in range(groups)]


def _batches(items: list[int], size: int) -> Iterator[list[int]]:
    size = max(size, 1)
    for start in range(0, len(items), size):
        yield items[start : start + size]

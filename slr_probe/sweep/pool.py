"""Hidden states of many prefixes in one tensor, whose places are used again as soon as a state is spent."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float

    from slr_probe.sweep.trie import Level


class Pool:
    """States of one kind, by number.

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
        found = self._data[[self._parents[parent] for parent in parents]]
        for parent in parents:
            self._left[parent] -= 1
            if not self._left[parent]:
                self._free.append(self._parents.pop(parent))
        return found

    def put(self, states: list[int], data: Float[torch.Tensor, "state ..."]) -> None:
        """Hold the hidden states of some states."""
        if self._data is None:
            self._data = data.new_empty((len(self._free), *data.shape[1:]))
        places = [self._free.pop() for _ in states]
        self._data[places] = data
        self._places.update(zip(states, places, strict=True))

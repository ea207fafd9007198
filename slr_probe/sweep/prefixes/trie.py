"""A set of recipes as a trie of prefixes: which block evaluations a sweep needs, each once.

The hidden state that enters block l depends on a recipe's embedding and first l blocks only, so recipes that
begin alike share all work up to where they part.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class BlockPath:
    """What one recipe does on the way from token ids to logits; each entry is any hashable name of weights.

    Attributes:
        root: Weights of the embedding.
        blocks: Weights of every block, in order.
        leaf: Weights of final norm and head.
    """

    root: Hashable
    blocks: tuple[Hashable, ...]
    leaf: Hashable


@dataclass(frozen=True)
class Level:
    """One block, for all states at once.

    Attributes:
        variants: The distinct weights that the block is run with.
        parents: For every child state, the state it comes from.
        choices: For every child state, the index of its variant.
    """

    variants: tuple[Hashable, ...]
    parents: tuple[int, ...]
    choices: tuple[int, ...]

    @property
    def width(self) -> int:
        """Number of child states, which is the number of block evaluations."""
        return len(self.parents)


@dataclass(frozen=True)
class Trie:
    """Prefixes of recipes, level by level.

    Attributes:
        roots: The distinct embeddings; one state each enters the first block.
        levels: One `Level` a block.
        leaves: The distinct pairs of final norm and head.
        reads: The distinct (last state, leaf) pairs that logits are needed of.
        ends: For every recipe, the index of its read.
    """

    roots: tuple[Hashable, ...]
    levels: tuple[Level, ...]
    leaves: tuple[Hashable, ...]
    reads: tuple[tuple[int, int], ...]
    ends: tuple[int, ...]

    @property
    def evaluations(self) -> int:
        """Number of block evaluations: one for every distinct non-empty prefix."""
        return sum(level.width for level in self.levels)

    @property
    def naive_evaluations(self) -> int:
        """Number of block evaluations when every recipe is run by itself."""
        return len(self.ends) * len(self.levels)

    def peak_states(self) -> int:
        """Largest number of states alive at once when a parent is dropped as soon as its last child is made."""
        peak, before = len(self.roots), len(self.roots)
        for level in self.levels:
            alive = before
            for child, dropped in zip(range(1, level.width + 1), _dropped(level), strict=True):
                peak = max(peak, alive + child)
                alive -= dropped
            before = level.width
        return peak


def build_trie(paths: Sequence[BlockPath]) -> Trie:
    """Merge paths of equal depth into a trie.

    Examples:
        >>> paths = [BlockPath(1, ("t", "t"), 1), BlockPath(1, ("t", "b"), 1), BlockPath(1, ("b", "t"), 1)]
        >>> trie = build_trie(paths)
        >>> [level.width for level in trie.levels], trie.evaluations, trie.naive_evaluations
        ([2, 3], 5, 6)
    """
    roots: dict[Hashable, int] = {}
    states = [roots.setdefault(path.root, len(roots)) for path in paths]
    levels = []
    for block in range(len(paths[0].blocks) if paths else 0):
        variants: dict[Hashable, int] = {}
        children: dict[tuple[int, int], int] = {}
        for i, path in enumerate(paths):
            choice = variants.setdefault(path.blocks[block], len(variants))
            states[i] = children.setdefault((states[i], choice), len(children))
        parents, choices = zip(*children, strict=True)
        levels.append(Level(tuple(variants), parents, choices))
    leaves: dict[Hashable, int] = {}
    reads: dict[tuple[int, int], int] = {}
    ends = []
    for state, path in zip(states, paths, strict=True):
        leaf = leaves.setdefault(path.leaf, len(leaves))
        ends.append(reads.setdefault((state, leaf), len(reads)))
    return Trie(tuple(roots), tuple(levels), tuple(leaves), tuple(reads), tuple(ends))


def schedule(level: Level) -> list[tuple[int, list[int]]]:
    """Variants in the order in which to run them, each with its children.

    The variant with most only children comes first, so that their parents are dropped early.
    """
    counts: dict[int, int] = {}
    for parent in level.parents:
        counts[parent] = counts.get(parent, 0) + 1
    members: dict[int, list[int]] = {choice: [] for choice in range(len(level.variants))}
    only = dict.fromkeys(members, 0)
    for child, (parent, choice) in enumerate(zip(level.parents, level.choices, strict=True)):
        members[choice].append(child)
        only[choice] += counts[parent] == 1
    return sorted(members.items(), key=lambda item: (-only[item[0]], item[0]))


def contiguous_evaluations(depth: int) -> int:
    """Block evaluations for every non-empty contiguous range and the tuned model: `L + n + (L^3 - L) / 6`.

    After l blocks there are the all-tuned prefix and one prefix for every range that starts and ends within them:
    `1 + l (l + 1) / 2`. The sum over l is the closed form, with `n = L (L + 1) / 2` ranges.

    Examples:
        >>> contiguous_evaluations(32), (32 * 33 // 2 + 1) * 32
        (6016, 16928)
    """
    return depth + depth * (depth + 1) // 2 + (depth**3 - depth) // 6


def _dropped(level: Level) -> list[int]:
    """For every child in the order in which it is made, how many parents it is the last child of."""
    left: dict[int, int] = {}
    for parent in level.parents:
        left[parent] = left.get(parent, 0) + 1
    dropped = []
    for _, children in schedule(level):
        for child in children:
            parent = level.parents[child]
            left[parent] -= 1
            dropped.append(int(left[parent] == 0))
    return dropped

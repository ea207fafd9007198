import itertools
import random

import pytest

from slr_probe.sweep.prefixes.trie import BlockPath, build_trie, contiguous_evaluations, schedule


def ranges(depth):
    rows = ["t" * depth]
    rows += ["t" * a + "b" * (b - a) + "t" * (depth - b) for a in range(depth) for b in range(a + 1, depth + 1)]
    return rows


def paths_of(rows):
    return [BlockPath("e", tuple(row), "h") for row in rows]


@pytest.mark.parametrize("depth", [1, 2, 3, 7, 18, 32])
def test_closed_form_of_all_contiguous_ranges_equals_the_number_of_distinct_prefixes(depth):
    rows = ranges(depth)
    prefixes = {row[:n] for row in rows for n in range(1, depth + 1)}
    n = depth * (depth + 1) // 2
    assert len(rows) == n + 1
    assert build_trie(paths_of(rows)).evaluations == len(prefixes) == contiguous_evaluations(depth)
    assert contiguous_evaluations(depth) == depth + n + (depth**3 - depth) // 6


def test_any_set_of_recipes_is_evaluated_once_a_prefix_and_ends_where_it_should():
    rng = random.Random(0)
    rows = ["".join(rng.choice("tbm") for _ in range(6)) for _ in range(60)]
    paths = [BlockPath(rng.choice("ef"), tuple(row), rng.choice("gh")) for row in rows]
    trie = build_trie(paths)
    prefixes = {(p.root, p.blocks[:n]) for p in paths for n in range(1, 7)}
    assert trie.evaluations == len(prefixes)
    assert trie.naive_evaluations == 60 * 6
    for path, end in zip(paths, trie.ends, strict=True):
        state, leaf = trie.reads[end]
        assert trie.leaves[leaf] == path.leaf
        for level, block in zip(reversed(trie.levels), reversed(path.blocks), strict=True):
            assert level.variants[level.choices[state]] == block
            state = level.parents[state]
        assert trie.roots[state] == path.root
    assert len(trie.reads) == len({(p.root, p.blocks, p.leaf) for p in paths})


def test_peak_of_live_states_is_that_of_a_simulation():
    trie = build_trie(paths_of(ranges(6)))
    peak, alive = 1, {0}
    for level in trie.levels:
        left = [level.parents.count(p) for p in range(len(alive))]
        made = set()
        for _, children in schedule(level):
            for child in children:
                made.add(child)
                peak = max(peak, len(alive) + len(made))
                left[level.parents[child]] -= 1
                if not left[level.parents[child]]:
                    alive.discard(level.parents[child])
        assert not alive
        assert made == set(range(level.width))
        alive = made
    assert trie.peak_states() == peak


def test_a_schedule_runs_every_child_once_under_its_own_variant():
    level = build_trie(paths_of(map("".join, itertools.product("tb", repeat=3)))).levels[2]
    runs = schedule(level)
    assert sorted(child for _, children in runs for child in children) == list(range(8))
    assert all(level.choices[child] == choice for choice, children in runs for child in children)

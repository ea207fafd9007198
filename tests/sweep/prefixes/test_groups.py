import random

import pytest

from slr_probe.sweep.prefixes.groups import Group, group_rows
from slr_probe.sweep.reads.rows import Row


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("limit", [None, 30])
def test_groups_cover_every_prompt_once_and_share_what_they_say(share, limit):
    rng = random.Random(1)
    prompts = [[1, 2, *rng.choices(range(3, 6), k=rng.randrange(1, 12))] for _ in range(25)]
    groups = group_rows([Row.last(prompt) for prompt in prompts], share=share, limit=limit)
    assert sorted(i for group in groups for i in group.rows) == list(range(25))
    for group in groups:
        assert group.lengths == tuple(len(prompts[i]) for i in group.rows)
        assert len({tuple(prompts[i][: group.shared]) for i in group.rows}) == 1
        assert group.shared < min(group.lengths)
        assert share or group.shared == 0
        assert limit is None or group.tokens <= limit or len(group.rows) == 1


def test_fewer_tokens_than_one_padded_batch():
    rng = random.Random(2)
    prompts = [[7, 8, 9, *rng.choices(range(50), k=rng.randrange(10, 30))] for _ in range(40)]
    groups = group_rows([Row.last(prompt) for prompt in prompts])
    assert sum(group.tokens for group in groups) < 0.8 * 40 * max(map(len, prompts))


def test_equal_prompts_leave_their_last_token_to_each():
    (group,) = group_rows([Row.last((1, 2, 3))] * 2)
    assert (group.shared, group.padded) == (2, 1)


def cheapest_cut(rows, names, share, limit, overhead):
    """Every start of every last run, each run looked at by itself; ties go to the longest last run."""

    def group(start, stop):
        chosen = rows[start:stop]
        lengths = tuple(len(row.token_ids) for row in chosen)
        shared = 0
        if share and len(chosen) > 1:
            read = min(row.reads[0] for row in chosen)
            while shared < read and len({row.token_ids[shared] for row in chosen}) == 1:
                shared += 1
        return Group(tuple(names[start:stop]), shared, lengths, tuple(row.reads for row in chosen))

    best = [(0, [])]
    for stop in range(1, len(rows) + 1):
        runs = [group(start, stop) for start in range(stop)]
        options = [
            (best[start][0] + run.tokens + overhead, start, [*best[start][1], run])
            for start, run in enumerate(runs)
            if limit is None or run.tokens <= limit or start == stop - 1
        ]
        cost, _, groups = min(options, key=lambda option: option[:2])
        best.append((cost, groups))
    return best[-1]


@pytest.mark.parametrize("last_only", [True, False])
@pytest.mark.parametrize("seed", range(40))
def test_groups_are_the_cheapest_of_all_cuts(seed, last_only):
    rng = random.Random(seed)
    opening = list(range(rng.choice([0, 2, 5])))
    words = rng.choice([2, 3, 8])
    prompts = [(*opening, *rng.choices(range(words), k=rng.randrange(1, 12))) for _ in range(rng.randrange(1, 16))]
    rows = [Row.last(prompt) if last_only else some_reads(prompt, rng) for prompt in prompts]
    share, overhead = rng.random() < 0.7, rng.choice([0, 4, 64])
    limit = rng.choice([None, 5, 12, 30, 60])
    plans = []
    for head in (0, 2, 4, 8, 16, 32, max(map(len, prompts))):
        keys = sorted((prompt[:head], len(prompt), prompt, i) for i, prompt in enumerate(prompts))
        order = [key[-1] for key in keys]
        plans.append(cheapest_cut([rows[i] for i in order], order, share, limit, overhead))
    assert group_rows(rows, share=share, limit=limit, overhead=overhead) == min(plans, key=lambda p: p[0])[1]


def some_reads(tokens, rng):
    """A row that is read at its last position and at some before it."""
    return Row(tokens, tuple(sorted({len(tokens) - 1, *rng.sample(range(len(tokens)), k=min(2, len(tokens)))})))


def test_a_group_knows_its_reads():
    (group,) = group_rows([Row((1, 2, 3, 4), (1, 3)), Row((1, 2, 5), (1, 2))], overhead=9)
    assert (group.rows, group.shared) == ((1, 0), 1)
    assert group.places.tolist() == [[0, 0, 1, 1], [1, 2, 1, 3]]
    assert (group.tokens, group.held, group.reads_most) == (7, 9, True)


def test_no_rows_make_no_group():
    assert group_rows([]) == []

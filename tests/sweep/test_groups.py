import random

import pytest

from slr_probe.sweep.groups import group_prompts


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("limit", [None, 30])
def test_groups_cover_every_prompt_once_and_share_what_they_say(share, limit):
    rng = random.Random(1)
    prompts = [[1, 2, *rng.choices(range(3, 6), k=rng.randrange(1, 12))] for _ in range(25)]
    groups = group_prompts(prompts, share=share, limit=limit)
    assert sorted(i for group in groups for i in group.prompts) == list(range(25))
    for group in groups:
        assert group.lengths == tuple(len(prompts[i]) for i in group.prompts)
        assert len({tuple(prompts[i][: group.shared]) for i in group.prompts}) == 1
        assert group.shared < min(group.lengths)
        assert share or group.shared == 0
        assert limit is None or group.tokens <= limit or len(group.prompts) == 1


def test_fewer_tokens_than_one_padded_batch():
    rng = random.Random(2)
    prompts = [[7, 8, 9, *rng.choices(range(50), k=rng.randrange(10, 30))] for _ in range(40)]
    groups = group_prompts(prompts)
    assert sum(group.tokens for group in groups) < 0.8 * 40 * max(map(len, prompts))


def test_equal_prompts_leave_their_last_token_to_each():
    (group,) = group_prompts([(1, 2, 3), (1, 2, 3)])
    assert (group.shared, group.padded) == (2, 1)

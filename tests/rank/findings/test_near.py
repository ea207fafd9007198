"""The ranges that are nearly equal to the best one, against resamples that are counted one by one."""

from dataclasses import replace

import numpy as np
import pytest

from slr_probe.rank.findings.near import TOGETHER, near_equal
from slr_probe.show.words.near import steadiness
from tests.rank.planted import planted


def counted(ranking, rng):
    """Share of resamples in which each range is best, from draws of its own."""
    n = len(ranking.ranges)
    wins, draws = np.zeros(n), 2000
    for _ in range(draws):
        drawn = rng.integers(0, ranking.validity.shape[1], ranking.validity.shape[1])
        validity, diversity = ranking.validity[:, drawn].mean(axis=1), ranking.diversity[:n, drawn].mean(axis=1)
        diversity[validity[:n] < ranking.floor * validity[ranking.tuned]] = -1
        wins[diversity.argmax()] += 1
    return wins / draws


@pytest.fixture(scope="module")
def alike():
    """All ranges keep their validity and are equally diverse, but for noise."""
    ranking = planted(gain=0.01, noise=0.1, kept=0.97, held_out=False)
    validity = ranking.validity.copy()
    validity[: len(ranking.ranges)] = validity[ranking.index("1:3")]
    return replace(ranking, validity=validity)


def test_the_group_is_the_fewest_that_win_most_resamples(alike):
    group = near_equal(alike)
    share = counted(alike, np.random.default_rng(1))
    assert len(group.layers) > 3
    np.testing.assert_allclose(group.shares, [share[alike.index(one)] for one in group.layers], atol=0.05)
    assert group.together >= TOGETHER > group.together - group.shares[-1]
    assert list(group.shares) == sorted(group.shares, reverse=True)
    assert max(share) - share[alike.index(group.steadiest)] < 0.05
    inside = set.intersection(*({*one} for one in group.layers))
    assert inside == (set() if group.shared is None else {*group.shared})


def test_one_range_that_stands_out_is_alone():
    group = planted().near_equal
    assert [str(one) for one in group.layers] == ["1:3"]
    assert (group.steadiest, group.shared, group.none) == (group.layers[0], group.layers[0], 0)
    assert "Nearly" not in steadiness(planted(), group.steadiest)


def test_words_name_the_group_and_the_steadiest(alike):
    group = alike.near_equal
    other = next(one for one in alike.ranges if one not in group.layers)
    for layers in (group.steadiest, group.layers[1], other):
        said = steadiness(alike, layers)
        assert f"{group.steadiest} ({group.shares[0]:.0%})" in said
        assert ("it is the steadiest" in said) == (layers == group.steadiest)
    assert f"and {len(group.layers) - 4} more" in said


def test_where_nothing_was_drawn_again_there_is_no_group(ranking_of):
    assert near_equal(ranking_of(2, {"0:1": (1.0, 0.5)}, prompts=1)) is None
    never = ranking_of(2, {"0:1": (0.1, 0.5), "1:2": (0.1, 0.5), "0:2": (0.1, 0.5)})
    assert near_equal(never) is None
    assert never.to_dict()["near_equal"] is None

import numpy as np
import pytest

from slr_probe.stats import resampled_means, winner_share
from slr_probe.stats.bootstrap import resample_counts

RNG = np.random.default_rng(0)


def test_resampled_means_agree_with_drawing_prompts():
    values = RNG.normal(size=(3, 6))
    counts = resample_counts(6, resamples=20, seed=1)
    assert (counts.sum(axis=1) == 6).all()
    for b, row in enumerate(counts):
        drawn = np.repeat(np.arange(6), row)
        np.testing.assert_allclose(resampled_means(values, counts)[:, b], values[:, drawn].mean(axis=1))


def test_strata_keep_their_sizes():
    labels = np.array(["a", "b", "a", "b", "b", "a", "a", "b", "b"])
    counts = resample_counts(9, resamples=50, strata=labels)
    assert (counts[:, labels == "a"].sum(axis=1) == 4).all()
    assert (counts[:, labels == "b"].sum(axis=1) == 5).all()


def test_winner_share_agrees_with_a_loop():
    objective, bound, reference = RNG.random((7, 10)), RNG.uniform(0.5, 1, (7, 10)), RNG.uniform(0.7, 1, 10)
    share, none = winner_share(objective, bound, reference, 0.95, resamples=400, seed=5)
    expected, nobody = np.zeros(7), 0
    for row in resample_counts(10, 400, 5):
        drawn = np.repeat(np.arange(10), row)
        met = [c for c in range(7) if bound[c, drawn].mean() >= 0.95 * reference[drawn].mean()]
        if met:
            expected[max(met, key=lambda c: objective[c, drawn].mean())] += 1
        else:
            nobody += 1
    np.testing.assert_allclose(share, expected / 400)
    assert none == nobody / 400
    assert share.sum() + none == pytest.approx(1)


def test_the_first_in_priority_wins_every_tie():
    objective = np.vstack([RNG.random(10)] * 4)
    objective[2] += 1e-12 * RNG.normal(size=10)  # equal up to rounding
    priority = np.array([3.0, 2.0, 1.0, 4.0])
    share, _ = winner_share(objective, np.ones((4, 10)), np.ones(10), 1.0, priority=priority)
    np.testing.assert_array_equal(share, [0, 0, 1, 0])


def test_no_candidate_meets_the_floor():
    share, none = winner_share(np.ones((2, 5)), np.zeros((2, 5)), np.ones(5), 0.9)
    assert none == 1
    assert share.sum() == 0


def test_without_a_reference_no_floor_is_met():
    share, none = winner_share(np.ones((2, 5)), np.ones((2, 5)), np.array([1.0, 0, 0, 0, 0]), 0.9, seed=3)
    empty = (resample_counts(5, seed=3)[:, 0] == 0).mean()
    assert none == pytest.approx(empty)
    assert share.tolist() == [pytest.approx(1 - empty), 0]


def test_of_no_candidates_none_wins():
    share, none = winner_share(np.zeros((0, 6)), np.zeros((0, 6)), np.ones(6), 0.9, resamples=50)
    assert (share.shape, none) == ((0,), 1.0)

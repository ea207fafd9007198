import numpy as np
import pytest
from scipy import stats

from slr_probe.stats import bootstrap as module
from slr_probe.stats import difference_interval, mean_interval, ratio_interval, resampled_means, winner_share
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


@pytest.mark.parametrize("labels", [range(8), [0] * 5 + [1] * 3, [0] * 7 + [1], [0] * 8])
def test_labels_with_fewer_than_4_prompts_do_not_count(labels):
    values, floor = RNG.random((5, 8)), np.ones(8)
    found, plain = mean_interval(values, strata=list(labels)), mean_interval(values)
    np.testing.assert_array_equal([found.low, found.high], [plain.low, plain.high])
    assert (found.low < found.high).all()
    share, _ = winner_share(values, np.ones((5, 8)), floor, 0.9, strata=list(labels))
    np.testing.assert_array_equal(share, winner_share(values, np.ones((5, 8)), floor, 0.9)[0])


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_limits_agree_with_scipy(method):
    values = RNG.exponential(size=40)
    ours = mean_interval(values, method=method, small_sample=False, resamples=40_000)
    theirs = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=40_000,
        method="BCa" if method == "bca" else method,
        rng=np.random.default_rng(9),
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.02 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.02 * width)


def test_ratio_limits_agree_with_scipy():
    reference = RNG.uniform(0.5, 1.0, size=30)
    values = reference * RNG.uniform(0.6, 1.0, size=30)
    ours = ratio_interval(values, reference, small_sample=False, resamples=40_000)
    theirs = stats.bootstrap(
        (values, reference), lambda a, b, axis: a.mean(axis) / b.mean(axis), paired=True, method="BCa",
        n_resamples=40_000, rng=np.random.default_rng(9),
    ).confidence_interval  # fmt: skip
    assert ours.estimate == pytest.approx(values.mean() / reference.mean())
    assert ours.low == pytest.approx(theirs.low, abs=0.002)
    assert ours.high == pytest.approx(theirs.high, abs=0.002)


@pytest.mark.parametrize("skewed", [False, True])
@pytest.mark.parametrize("n", [20, 40])
def test_95_percent_intervals_cover(n, skewed):
    rng = np.random.default_rng(3)
    draw = (lambda size: rng.beta(4, 2, size)) if skewed else (lambda size: rng.normal(2 / 3, 1, size))
    found = mean_interval(draw((3000, n)), resamples=1000)
    coverage = np.mean((found.low <= 2 / 3) & (2 / 3 <= found.high))
    assert 0.93 <= coverage <= 0.97


def test_without_the_small_sample_correction_few_prompts_are_covered_too_rarely():
    values = np.random.default_rng(3).normal(size=(3000, 8))
    plain = mean_interval(values, small_sample=False, method="percentile", resamples=500)
    widened = mean_interval(values, method="percentile", resamples=500)
    covered = [np.mean((found.low <= 0) & (0 <= found.high)) for found in (plain, widened)]
    assert covered[0] < 0.92 < covered[1]


def test_pairing_narrows_a_difference():
    hard = RNG.normal(size=40)
    a, b = hard + RNG.normal(0.1, 0.05, 40), hard + RNG.normal(0.0, 0.05, 40)
    paired = difference_interval(a, b)
    unpaired = mean_interval(a)
    assert paired.low > 0
    assert (paired.high - paired.low) < 0.2 * (unpaired.high - unpaired.low)
    # The same resamples serve both, so equal conditions differ by exactly nothing.
    same = difference_interval(a, a)
    assert same.low == same.high == same.estimate == 0


def test_strata_narrow_the_interval_where_categories_differ():
    labels = np.repeat([0, 1], 20)
    values = labels * 10.0 + RNG.normal(size=40)
    stratified, plain = mean_interval(values, strata=labels), mean_interval(values)
    assert (stratified.high - stratified.low) < 0.4 * (plain.high - plain.low)


def test_a_constant_has_no_width():
    found = mean_interval(np.full((2, 9), 0.25))
    assert (found.low == 0.25).all()
    assert (found.high == 0.25).all()


@pytest.mark.parametrize("n", [2, 3])
def test_two_or_three_prompts_give_wide_limits_within_the_values(n):
    values = np.random.default_rng(2).random((50, n))
    found = mean_interval(values)
    assert (values.min(axis=1) <= found.low + 1e-12).all()
    assert (found.high <= values.max(axis=1) + 1e-12).all()
    assert (found.low <= found.estimate).all()
    assert (found.estimate <= found.high).all()


def test_chunks_change_nothing(monkeypatch):
    values, bound, reference = RNG.random((30, 12)), RNG.random((30, 12)), RNG.random(12)
    whole = mean_interval(values), winner_share(values, bound, reference, 0.9, resamples=300)
    monkeypatch.setattr(module, "_CHUNK", 2500)
    parts = mean_interval(values), winner_share(values, bound, reference, 0.9, resamples=300)
    np.testing.assert_allclose(whole[0].low, parts[0].low, rtol=1e-12)
    np.testing.assert_array_equal(whole[1][0], parts[1][0])


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


def test_seeds():
    values = RNG.random(15)
    assert mean_interval(values, seed=4).low == mean_interval(values, seed=4).low
    assert mean_interval(values, seed=4).low != mean_interval(values, seed=5).low


def test_bad_input():
    with pytest.raises(ValueError, match="at least 2"):
        mean_interval(np.ones(1))
    with pytest.raises(ValueError, match="1 values are NaN"):
        mean_interval(np.array([1.0, np.nan, 2.0]))
    with pytest.raises(ValueError, match="unknown bootstrap method"):
        mean_interval(np.ones(4), method="magic")
    with pytest.raises(ValueError, match="level"):
        mean_interval(np.ones(4), level=95)
    with pytest.raises(ValueError, match="one label for each"):
        mean_interval(np.ones(4), strata=["a"])
    with pytest.raises(ValueError, match="above zero"):
        ratio_interval(np.ones(4), np.zeros(4))

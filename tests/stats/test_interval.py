import numpy as np
import pytest
from scipy import stats

from slr_probe.stats import bootstrap, difference_interval, mean_interval, ratio_interval, winner_share
from slr_probe.stats.interval import interval_where_defined

RNG = np.random.default_rng(0)


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
        (values, reference),
        lambda a, b, axis: a.mean(axis) / b.mean(axis),
        paired=True,
        method="BCa",
        n_resamples=40_000,
        rng=np.random.default_rng(9),
    ).confidence_interval
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


@pytest.mark.parametrize("n", [5, 6])
def test_five_or_six_prompts_give_wide_limits_within_the_values(n):
    values = np.random.default_rng(2).random((50, n))
    found = mean_interval(values)
    assert (values.min(axis=1) <= found.low + 1e-12).all()
    assert (found.high <= values.max(axis=1) + 1e-12).all()
    assert (found.low <= found.estimate).all()
    assert (found.estimate <= found.high).all()


def test_chunks_change_nothing(monkeypatch):
    values, bound, reference = RNG.random((30, 12)), RNG.random((30, 12)), RNG.random(12)
    whole = mean_interval(values), winner_share(values, bound, reference, 0.9, resamples=300)
    monkeypatch.setattr(bootstrap, "_CHUNK", 2500)
    parts = mean_interval(values), winner_share(values, bound, reference, 0.9, resamples=300)
    np.testing.assert_allclose(whole[0].low, parts[0].low, rtol=1e-12)
    np.testing.assert_array_equal(whole[1][0], parts[1][0])


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


def test_intervals_of_a_difference_between_two_models_cover():
    """As in a validation: prompts differ in difficulty, each model is scored on K samples a prompt."""
    rng = np.random.default_rng(7)
    runs, n, samples, gain = 3000, 24, 16, 0.1
    hard = rng.beta(4, 4, size=(runs, n)) * 0.6 + 0.1
    tuned = rng.binomial(samples, hard) / samples
    hybrid = rng.binomial(samples, hard + gain) / samples
    found = difference_interval(hybrid, tuned, resamples=1000)
    coverage = np.mean((found.low <= gain) & (gain <= found.high))
    assert 0.93 <= coverage <= 0.97


@pytest.mark.parametrize("kinds", [[""] * 9, ["a"] * 4 + ["b"] * 5])
def test_where_defined_agrees_with_one_row_at_a_time(kinds):
    values = RNG.random((5, 9))
    values[1, 3] = values[2, 3] = values[3, 1:] = values[4] = np.nan
    found = interval_where_defined(values, kinds, resamples=200)
    for row in range(3):
        used = np.isfinite(values[row])
        alone = mean_interval(values[row, used], strata=np.array(kinds)[used], resamples=200)
        limits = [found.estimate[row], found.low[row], found.high[row]]
        np.testing.assert_allclose(limits, [alone.estimate, alone.low, alone.high], rtol=1e-12)
    assert found.estimate[3] == values[3, 0]
    assert np.isnan([found.estimate[4], *found.low[3:], *found.high[3:]]).all()


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_few_prompts_have_an_estimate_and_below_5_no_interval(n):
    values, reference = RNG.random((3, n)), RNG.uniform(0.5, 1, n)
    for found, estimate in (
        (mean_interval(values), values.mean(axis=1)),
        (difference_interval(values, reference), values.mean(axis=1) - reference.mean()),
        (ratio_interval(values, reference), values.mean(axis=1) / reference.mean()),
        (interval_where_defined(values, [""] * n), values.mean(axis=1)),
    ):
        np.testing.assert_allclose(found.estimate, estimate)
        assert np.isfinite([found.low, found.high]).all() == (n >= 5)
        assert np.isnan([found.low, found.high]).all() == (n < 5)


def test_the_prompts_that_count_are_those_where_a_row_is_defined():
    values = RNG.random((2, 6))
    values[1, :2] = np.nan
    found = interval_where_defined(values, [""] * 6)
    np.testing.assert_array_equal(np.isfinite(found.low), [True, False])
    assert found.estimate[1] == pytest.approx(values[1, 2:].mean())

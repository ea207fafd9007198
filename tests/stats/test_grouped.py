import numpy as np
import pytest

from slr_probe.stats import ratio_interval
from slr_probe.stats.grouped import mean_of_ratios_interval

RNG = np.random.default_rng(5)


def coverage(sizes, *, strata=None, runs=1500):
    """Share of runs whose interval holds the truth: every task keeps 0.7 of its reference, prompts are noise."""
    rng = np.random.default_rng(1)
    references = [rng.uniform(0.5, 1, n) for n in sizes]
    values = [r * (0.7 + 0.25 * rng.normal(size=(runs, len(r)))) for r in references]
    found = mean_of_ratios_interval(values, references, resamples=500, strata=strata)
    return np.mean((found.low <= 0.7) & (0.7 <= found.high))


@pytest.mark.parametrize("sizes", [(3, 200), (4, 100), (5, 5, 100), (6, 100), (20, 40, 30), (4, 4)])
def test_a_small_task_beside_a_large_one_is_covered(sizes):
    assert 0.92 <= coverage(sizes) <= 0.97


def test_small_strata_of_one_task_are_covered():
    assert 0.92 <= coverage((8, 100), strata=[[0] * 4 + [1] * 4, None]) <= 0.97


def test_nothing_that_varies_has_no_width():
    found = mean_of_ratios_interval([np.full((2, 5), 0.5)] * 2, [np.ones(5)] * 2)
    assert (found.low == 0.5).all()
    assert (found.high == 0.5).all()


def test_a_constant_task_beside_one_that_varies():
    values = [np.full((1, 5), 0.5), RNG.normal(0.5, 0.1, (1, 40))]
    found = mean_of_ratios_interval(values, [np.ones(5), np.ones(40)])
    alone = ratio_interval(values[1], np.ones(40))
    assert found.high - found.low == pytest.approx((alone.high - alone.low) / 2, rel=0.1)


def test_limits_that_do_not_exist_are_nan_and_the_estimate_stays():
    values, reference = np.array([[0.5, 0.2, 0.1, 0.3, 0.2]]), np.array([1.0, 0, 0, 0, 0])
    other = RNG.random((1, 9)), RNG.uniform(0.5, 1, 9)
    for found, expected in (
        (ratio_interval(values, reference), 1.3),
        (mean_of_ratios_interval([values], [reference]), 1.3),
        (
            mean_of_ratios_interval([other[0], values], [other[1], reference]),
            (1.3 + other[0].mean() / other[1].mean()) / 2,
        ),
    ):
        assert found.estimate == pytest.approx(expected)
        assert np.isnan(found.low).all()
        assert np.isnan(found.high).all()


def test_bad_input():
    with pytest.raises(ValueError, match="at least one task"):
        mean_of_ratios_interval([], [])
    with pytest.raises(ValueError, match="level"):
        mean_of_ratios_interval([np.ones((1, 4))] * 2, [np.ones(4)] * 2, level=95)
    with pytest.raises(ValueError, match="finite"):
        mean_of_ratios_interval([np.full((1, 4), np.nan), np.ones((1, 4))], [np.ones(4)] * 2)
    with pytest.raises(ValueError, match="above zero"):
        mean_of_ratios_interval([np.ones((1, 4))] * 2, [np.ones(4), np.zeros(4)])


def test_one_task_is_the_plain_ratio():
    reference = RNG.uniform(0.5, 1, 30)
    values = reference * RNG.uniform(0.2, 0.9, (3, 30))
    ours = mean_of_ratios_interval([values], [reference], seed=4)
    theirs = ratio_interval(values, reference, seed=4)
    for name in ("estimate", "low", "high"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-10)


def test_mean_over_tasks_covers():
    """Three tasks of unlike sizes and baselines; the truth is the mean of their expected ratios."""
    rng = np.random.default_rng(1)
    truth, values, references = 0.0, [], []
    for n, base, kept in ((20, 0.8, 0.4), (40, 5.0, 0.7), (30, 0.3, 0.9)):
        references.append(base * rng.beta(8, 2, n) / 0.8)
        values.append(kept * references[-1] * rng.uniform(0.5, 1.5, (1200, n)))
        # The references are drawn once and shared by the runs, so the truth is given them.
        truth += kept / 3
    found = mean_of_ratios_interval(values, references, resamples=600)
    assert np.mean(found.estimate) == pytest.approx(truth, abs=0.01)
    assert np.mean((found.low <= truth) & (truth <= found.high)) >= 0.93


@pytest.mark.parametrize(("sizes", "bounded"), [((2, 2), False), ((2, 3), True)])
def test_fewer_than_5_prompts_of_all_tasks_have_no_interval(sizes, bounded):
    values = [RNG.uniform(0.5, 1, (2, n)) for n in sizes]
    found = mean_of_ratios_interval(values, [np.ones(n) for n in sizes])
    np.testing.assert_allclose(found.estimate, np.mean([rows.mean(axis=1) for rows in values], axis=0))
    assert np.isfinite([found.low, found.high]).all() == bounded
    assert np.isnan([found.low, found.high]).all() == (not bounded)

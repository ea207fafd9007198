from itertools import product

import numpy as np
import pytest
from scipy import stats

from slr_probe.stats.compare import (
    holm,
    paired_effect,
    paired_test,
    sign_flip_test,
    skew_corrected_t_test,
    smallest_p,
)

RNG = np.random.default_rng(0)


def test_enumerated_signs_agree_with_a_loop():
    values = RNG.normal(0.4, 1, size=(3, 7))
    for row, p in zip(values, sign_flip_test(values), strict=True):
        sums = [abs(sum(s * v for s, v in zip(signs, row, strict=True))) for signs in product((1, -1), repeat=7)]
        assert p == np.mean([total >= abs(row.sum()) - 1e-12 for total in sums])
    assert sign_flip_test(np.ones(7)) == smallest_p(7) == 2 / 128


def test_random_signs_agree_with_scipy():
    values = RNG.normal(0.2, 1, size=40)
    theirs = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=50_000, rng=np.random.default_rng(1)
    ).pvalue
    assert sign_flip_test(values) == pytest.approx(theirs, abs=0.01)


def test_no_difference_has_p_one_and_effect_zero():
    nothing = np.zeros((2, 30))
    assert (sign_flip_test(nothing) == 1).all()
    assert (paired_effect(nothing) == 0).all()


@pytest.mark.parametrize("n", [8, 30])
def test_false_findings_are_as_rare_as_they_say(n):
    p = sign_flip_test(np.random.default_rng(2).standard_t(4, size=(4000, n)), flips=2000)
    assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=0.012)


def test_chunks_change_nothing(monkeypatch):
    values = RNG.normal(size=(5, 30))
    whole = sign_flip_test(values, flips=3000)
    monkeypatch.setattr("slr_probe.stats.compare._CELLS", 1000)
    np.testing.assert_array_equal(whole, sign_flip_test(values, flips=3000))


def test_without_skew_the_corrected_test_is_students():
    half = np.random.default_rng(3).normal(size=(20, 6))
    mirrored = np.concatenate([half, -half], axis=1) + 0.3  # symmetric about its mean
    theirs = stats.ttest_1samp(mirrored, 0, axis=1).pvalue
    np.testing.assert_allclose(skew_corrected_t_test(mirrored), theirs, rtol=1e-9)


def test_the_correction_written_out():
    """Hall's transformation, term by term, with scipy's unbiased skewness."""
    values = np.random.default_rng(4).lognormal(size=12) - 1.2
    n, size = len(values), values.mean() / values.std(ddof=1)
    # scipy's is of the central moments over n; slr_probe divides by the unbiased standard deviation and corrects alike.
    skew = stats.skew(values, bias=False)
    corrected = np.sqrt(n) * (size + skew * size**2 / 3 + skew**2 * size**3 / 27 + skew / (6 * n))
    assert skew_corrected_t_test(values) == pytest.approx(2 * stats.t.sf(abs(corrected), n - 1), rel=1e-9)


def test_skewed_differences_do_not_reject_too_often():
    """Of log-normal differences with mean zero: sign flips alone are wrong twice as often as they say."""
    data = np.random.default_rng(6).lognormal(size=(3000, 20)) - np.exp(0.5)
    assert (sign_flip_test(data, flips=2000) <= 0.05).mean() > 0.1
    assert (paired_test(data, flips=2000) <= 0.05).mean() < 0.09


def test_both_tests_must_agree():
    values = np.random.default_rng(7).normal(0.4, 1, size=(50, 9))
    both = paired_test(values)
    np.testing.assert_array_equal(both, np.maximum(sign_flip_test(values), skew_corrected_t_test(values)))
    assert paired_test(np.array([1.0, 2.0])) == sign_flip_test(np.array([1.0, 2.0])) == 0.5
    assert paired_test(np.zeros(5)) == 1
    assert paired_test(np.full(7, 0.2)) == smallest_p(7)


def test_holm_on_a_worked_example():
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1 and then the running maximum.
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, np.nan, 0.03, 0.005])), [0.03, 0.06, np.nan, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8])).max() == 1


def test_holm_keeps_the_family_wise_error():
    p = np.random.default_rng(5).random((4000, 6))
    assert np.mean([holm(row).min() <= 0.05 for row in p]) == pytest.approx(0.05, abs=0.012)


def test_effect_size():
    values = np.array([1.0, 2.0, 4.0])
    assert paired_effect(values) == pytest.approx(values.mean() / values.std(ddof=1), rel=1e-12)
    assert paired_effect(np.full(4, 0.1)) == np.inf
    assert np.isnan(paired_effect(np.ones(1)))


def test_bad_input():
    with pytest.raises(ValueError, match="finite"):
        sign_flip_test(np.array([1.0, np.nan]))
    with pytest.raises(ValueError, match="at least one"):
        sign_flip_test(np.zeros((2, 0)))
    with pytest.raises(ValueError, match="at least 3"):
        skew_corrected_t_test(np.ones(2))

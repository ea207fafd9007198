from itertools import product

import numpy as np
import pytest
from scipy import stats

from slr_probe.stats.compare import holm, paired_effect, sign_flip_test, smallest_p

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

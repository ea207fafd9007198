import numpy as np
import pytest
from scipy.stats import ttest_1samp

from slr_probe.stats.part import p_not_below


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_of_endless_prompts_it_is_the_one_sided_t_test(rng):
    moved = rng.normal(-0.1, 1, size=(5, 12))
    expected = ttest_1samp(moved, 0, axis=1, alternative="less").pvalue
    np.testing.assert_allclose(p_not_below(moved, 10**12), expected, rtol=1e-6)


@pytest.mark.parametrize(("mean", "p"), [(-1e-3, 0.0), (1e-3, 1.0)])
def test_once_all_prompts_are_seen_it_is_decided(rng, mean, p):
    moved = rng.normal(size=(1, 9))
    moved += mean - moved.mean()
    assert p_not_below(moved, 9) == pytest.approx(p)


def test_what_does_not_vary_is_decided_and_one_prompt_says_nothing():
    np.testing.assert_array_equal(p_not_below(np.array([[-0.1] * 3, [0.0] * 3, [0.1] * 3]), 9), [0, 1, 1])
    np.testing.assert_array_equal(p_not_below(np.array([[-1.0], [1.0]]), 9), [1, 1])


def test_it_errs_as_often_as_it_says_when_the_claim_just_holds(rng):
    everything = rng.normal(size=40)
    everything -= everything.mean()
    drawn = np.stack([rng.permutation(everything)[:16] for _ in range(4000)])
    assert (p_not_below(drawn, 40) <= 0.05).mean() == pytest.approx(0.05, abs=0.012)

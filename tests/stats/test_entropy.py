import numpy as np
import pytest
from scipy import special, stats

from slr_probe.stats import conditional_entropy, normalised_diversity, validity

RNG = np.random.default_rng(0)


def random_logs(shape, mass=0.7):
    p = RNG.dirichlet(np.ones(shape[-1]), size=shape[:-1]) * mass
    return np.log(p)


def test_validity_is_the_mass():
    logs = random_logs((5, 7), mass=0.3)
    np.testing.assert_allclose(validity(logs), 0.3, rtol=1e-12)


@pytest.mark.parametrize("mass", [1.0, 0.3, 1e-200])
def test_entropy_is_that_of_the_renormalised_distribution_whatever_the_mass(mass):
    p = RNG.dirichlet(np.ones(6), size=4)
    expected = stats.entropy(p, axis=1)
    np.testing.assert_allclose(conditional_entropy(np.log(p) + np.log(mass)), expected, rtol=1e-10)


def test_entropy_agrees_with_a_loop():
    logs = random_logs((3, 4, 5))
    for index in np.ndindex(3, 4):
        p = special.softmax(logs[index])
        assert conditional_entropy(logs)[index] == pytest.approx(-sum(x * np.log(x) for x in p), abs=1e-12)


def test_closed_forms():
    uniform = np.full((9,), np.log(1 / 9) - 3.0)
    assert conditional_entropy(uniform) == pytest.approx(np.log(9))
    assert normalised_diversity(uniform, 9) == pytest.approx(1.0)
    assert conditional_entropy(np.array([0.0, -np.inf, -np.inf])) == 0.0
    coin = np.log([0.2, 0.1])
    assert conditional_entropy(coin) == pytest.approx(-(2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3)))


def test_padding_changes_nothing():
    logs = random_logs((4, 3))
    padded = np.concatenate([logs, np.full((4, 5), -np.inf)], axis=1)
    np.testing.assert_array_equal(validity(padded), validity(logs))
    np.testing.assert_allclose(conditional_entropy(padded), conditional_entropy(logs), rtol=1e-14)
    np.testing.assert_allclose(normalised_diversity(padded, 3), conditional_entropy(logs) / np.log(3), rtol=1e-14)


def test_float32_input_is_computed_in_float64():
    logs = np.array([[-0.5, -80.0]], dtype=np.float32)
    assert conditional_entropy(logs).dtype == np.float64
    assert 0 < conditional_entropy(logs)[0] < 1e-30


def test_no_mass_has_no_distribution():
    empty = np.full((2, 3), -np.inf)
    assert np.array_equal(validity(empty), [0, 0])
    assert np.isnan(conditional_entropy(empty)).all()
    assert np.isnan(normalised_diversity(empty, 3)).all()


def test_no_warnings_from_padding():
    with np.errstate(all="raise"):
        conditional_entropy(np.array([[-1.0, -np.inf], [-np.inf, -np.inf]]))


def test_bad_input():
    with pytest.raises(ValueError, match="at least two answers"):
        normalised_diversity(np.zeros((2, 3)), np.array([3, 1]))
    with pytest.raises(ValueError, match="at least one answer"):
        validity(np.zeros((2, 0)))

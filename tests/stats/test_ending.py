"""The bias on end tokens against softmax itself, and against what it must give back."""

import numpy as np
import pytest

from slr_probe.stats.ending import bias_to_reach, log_odds, log_rest, separation, with_bias


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(0, 3, (40, 30))


ENDS = [3, 17]


def log_softmax(logits):
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


@pytest.mark.parametrize("bias", [-4.0, 0.0, 0.7, 12.0])
def test_bias_is_what_softmax_makes_of_changed_logits(logits, bias):
    before = log_softmax(logits)
    changed = logits.copy()
    changed[:, ENDS] += bias
    after = log_softmax(changed)
    ending = np.logaddexp.reduce(before[:, ENDS], axis=1)
    np.testing.assert_allclose(with_bias(ending, bias), np.exp(after[:, ENDS]).sum(1), atol=1e-9)
    np.testing.assert_allclose(before[:, 0] - log_rest(ending, bias), after[:, 0], atol=1e-9)
    np.testing.assert_allclose(before[:, 3] + bias - log_rest(ending, bias), after[:, 3], atol=1e-9)


@pytest.mark.parametrize("target", [0.01, 0.3, 0.9])
def test_bias_to_reach_reaches(logits, target):
    ending = np.logaddexp.reduce(log_softmax(logits)[:, ENDS], axis=1)
    found = bias_to_reach(ending, target)
    assert with_bias(ending, found).mean() == pytest.approx(target, abs=1e-12)
    assert bias_to_reach(ending, float(np.exp(ending).mean())) == pytest.approx(0, abs=1e-9)


def test_one_probability_has_a_closed_form():
    assert bias_to_reach(np.log([0.02]), 0.6) == pytest.approx(np.log(0.6 / 0.4) - np.log(0.02 / 0.98))


def test_no_bias_where_none_can_be():
    assert np.isnan(bias_to_reach(np.array([-np.inf, -np.inf]), 0.5))  # the end tokens are never said
    assert np.isnan(bias_to_reach(np.array([]), 0.5))
    assert np.isnan(bias_to_reach(np.log([0.5]), 1.0))


def test_certain_ends_and_rounding_stay_in_bounds():
    assert with_bias(np.array([0.0, 1e-9, -np.inf]), -3.0).tolist() == [1.0, 1.0, 0.0]
    assert np.isposinf(log_odds(np.array(0.0)))


def test_separation_is_the_area_under_the_curve():
    rng = np.random.default_rng(1)
    true, other = rng.integers(0, 8, 30) + 2.0, rng.integers(0, 8, 50) + 0.0
    pairs = np.sign(true[:, None] - other) / 2 + 0.5  # every true place against every other one
    assert separation(true, other) == pytest.approx(pairs.mean())
    assert separation(np.array([2.0]), np.array([1.0])) == 1
    assert np.isnan(separation(true, np.array([])))

"""Calibration error against closed forms and a loop over bins."""

import numpy as np
import pytest

from slr_probe.stats.calibration import calibration_error, calibration_interval
from slr_probe.stats.diversity import agreement


def by_hand(sure, right, bins=10):
    total = 0.0
    for b in range(bins):
        members = [i for i, c in enumerate(sure) if (b / bins < c <= (b + 1) / bins) or (b == 0 and c == 0)]
        if members:
            total += len(members) * abs(np.mean(right[members]) - np.mean(sure[members]))
    return total / len(sure)


def test_closed_forms():
    # two bins: 3 of 4 right at 0.5 (gap 0.25), none of 4 right at 1.0 (gap 1)
    sure, right = np.repeat([0.5, 1.0], 4), np.array([1, 1, 1, 0, 0, 0, 0, 0])
    assert calibration_error(sure, right) == pytest.approx((0.25 + 1) / 2)
    assert calibration_error(np.full(8, 0.25), np.array([1, 0, 0, 0] * 2)) == 0
    assert calibration_error(np.zeros(3), np.ones(3)) == 1
    assert np.isnan(calibration_error(np.zeros(0), np.zeros(0)))


def test_against_a_loop_over_bins():
    rng = np.random.default_rng(0)
    sure = rng.integers(0, 9, size=200) / 8  # edges of bins among them
    right = rng.integers(0, 2, size=200).astype(float)
    for bins in (1, 4, 8, 10):
        assert calibration_error(sure, right, bins) == pytest.approx(by_hand(sure, right, bins), abs=1e-12)


def test_in_one_bin_it_is_the_gap_of_the_means():
    rng = np.random.default_rng(1)
    sure, right = rng.random(50), rng.random(50)
    assert calibration_error(sure, right, 1) == pytest.approx(abs(sure.mean() - right.mean()))


def test_intervals_hold_the_estimate_and_need_five_prompts():
    rng = np.random.default_rng(2)
    sure = np.full((2, 60), 0.8)
    right = np.stack([rng.random(60) < 0.8, rng.random(60) < 0.2]).astype(float)
    found = calibration_interval(sure, right, resamples=500)
    assert found.estimate[1] == pytest.approx(abs(right[1].mean() - 0.8))
    assert (found.low <= found.estimate).all()
    assert (found.estimate <= found.high).all()
    assert found.low[1] > found.high[0]
    few = calibration_interval(sure[:, :4], right[:, :4])
    assert np.isfinite(few.estimate).all()
    assert np.isnan([few.low, few.high]).all()


def test_what_is_no_probability_is_refused():
    with pytest.raises(ValueError, match="from 0 to 1"):
        calibration_error(np.array([1.2]), np.array([1.0]))
    with pytest.raises(ValueError, match="for each prompt"):
        calibration_error(np.array([0.2]), np.array([1.0, 0.0]))


def test_agreement():
    assert agreement(["a", "a", "b", None]) == 0.5
    assert agreement([None, None]) == 0
    assert np.isnan(agreement([]))

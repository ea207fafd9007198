from dataclasses import replace

import numpy as np
import pytest

from slr_probe.rank.frontier import TEMPERATURES, Curve, warmer
from slr_probe.stats.compare import adjusted_tests


@pytest.fixture
def curve():
    validity = np.array([[0.8, 1.0], [0.7, 0.7], [0.2, 0.4]])
    diversity = np.array([[0.1, 0.3], [0.3, 0.5], [0.9, 0.5]])
    return Curve(np.array([1.0, 1.5, 2.5]), validity, diversity)


@pytest.mark.parametrize("wanted", [0.9, 0.8, 0.7, 0.45, 0.3])
def test_equal_validity_is_equal(curve, wanted):
    found = curve.at(curve.at_validity(wanted))
    assert found["validity"].mean() == pytest.approx(wanted)


def test_prompts_are_interpolated_one_by_one(curve):
    found = curve.at(2.0)
    np.testing.assert_allclose(found["diversity"], [0.6, 0.5])
    np.testing.assert_allclose(found["validity"], [0.45, 0.55])
    np.testing.assert_allclose(curve.at(2.5)["diversity"], [0.9, 0.5])


def test_a_validity_out_of_reach_has_no_temperature(curve):
    assert np.isnan(curve.at_validity(0.95))
    assert np.isnan(curve.at_validity(0.1))


def test_of_several_temperatures_the_warmest_counts():
    curve = Curve(np.array([0.5, 1.0, 2.0]), np.array([[0.6], [0.8], [0.4]]), np.zeros((3, 1)))
    assert curve.at_validity(0.7) == pytest.approx(1.25)


def with_curve(ranking, validity, diversity):
    """A ranking whose tuned has these means over temperature, on every prompt alike."""
    prompts = ranking.prompts(held_out=False)
    grid = np.linspace(0, 1, len(TEMPERATURES))
    curves = [np.tile(np.interp(grid, [0, 1], ends)[None, :, None], (1, 1, prompts)) for ends in (validity, diversity)]
    return replace(ranking, curve_rows=np.array([ranking.tuned]), curve_validity=curves[0], curve_diversity=curves[1])


def test_a_range_is_compared_with_tuned_at_equal_validity(ranking_of):
    scored = {"0:1": (0.95, 0.6), "0:2": (0.92, 0.5), "1:2": (0.2, 0.9)}
    found = with_curve(ranking_of(2, scored, noise=1e-3), (1.0, 0.5), (0.2, 0.7))
    gap = found.gaps("0:1")[-1]
    assert gap.kind == "warmer"
    # a tenth of the way down in validity is a tenth of the way up in diversity
    assert gap.difference.value == pytest.approx(0.6 - 0.25, abs=3e-3)
    assert gap.kept == pytest.approx(0.95, abs=1e-2)
    assert gap.state == "more"
    assert TEMPERATURES[0] < gap.temperature < TEMPERATURES[-1]
    assert [one.kind for one in found.gaps("1:2")] == ["tuned"]  # no temperature is as invalid


def test_the_comparison_counts_among_the_others(ranking_of):
    scored = {"0:1": (0.95, 0.23), "0:2": (0.92, 0.22), "1:2": (0.9, 0.2)}
    found = with_curve(ranking_of(2, scored, noise=0.05), (1.0, 0.5), (0.2, 0.7))
    own, tuned = found.diversity[0], found.diversity[found.tuned]
    expected = adjusted_tests([own - tuned, own - warmer(found, 0, held_out=False).diversity])
    assert [gap.p for gap in found.gaps("0:1")] == pytest.approx(expected.tolist())

"""The cost at equal entropy, on distributions whose entropies and divergences are known at every temperature."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import log_softmax

from slr_probe.rank.frontier import TEMPERATURES
from slr_probe.show.charts.cost import plot_cost
from slr_probe.show.words.cost import cost_sentence
from slr_probe.show.words.sentences import sentences

SCORED = {"0:1": (0.95, 0.6), "0:2": (0.92, 0.5), "1:2": (0.2, 0.9)}


def entropy(logs):
    return -(np.exp(logs) * logs).sum(-1)


def divergence(logs, others):
    return (np.exp(logs) * (logs - others)).sum(-1)


@pytest.fixture
def logits():
    """Tuned's and the hybrid's, `[model, prompt, vocab]`; the hybrid is another model and a warmer one."""
    rng = np.random.default_rng(0)
    tuned = 2.5 * rng.normal(size=(16, 40))
    return np.stack([tuned, (tuned + 0.4 * rng.normal(size=tuned.shape)) / 1.4])


@pytest.fixture
def ranking(ranking_of, logits):
    curves = np.stack([log_softmax(logits / temperature, axis=-1) for temperature in TEMPERATURES], axis=1)
    reference = log_softmax(logits[0], axis=-1)
    return replace(
        ranking_of(2, SCORED),
        curve_rows=np.array([3, 0]),
        curve_entropy=entropy(curves),
        curve_drift=divergence(curves, reference),
        resamples=400,
    )


def test_tuned_is_as_entropic_and_as_far_as_it_really_is(ranking, logits):
    found = ranking.cost
    reference, hybrid = log_softmax(logits, axis=-1)
    at = lambda temperature: log_softmax(logits[0] / temperature, axis=-1)  # noqa: E731
    exact = brentq(lambda temperature: entropy(at(temperature)).mean() - entropy(hybrid).mean(), 0.5, 3)
    assert found.entropy == pytest.approx(entropy(hybrid).mean())
    assert found.temperature == pytest.approx(exact, rel=0.01)
    assert found.hybrid == pytest.approx(divergence(hybrid, reference).mean())
    assert found.tuned == pytest.approx(divergence(at(exact), reference).mean(), rel=0.03)
    assert found.limits[0] < found.difference < found.limits[1]
    assert found.state == "more"  # it is a warmer tuned and noise besides


def test_a_warmer_tuned_costs_what_it_costs(ranking, logits):
    place = TEMPERATURES.index(1.3)
    entropies, drifts = ranking.curve_entropy.copy(), ranking.curve_drift.copy()
    one = TEMPERATURES.index(1.0)
    entropies[1, one], drifts[1, one] = entropies[0, place], drifts[0, place]
    found = replace(ranking, curve_entropy=entropies, curve_drift=drifts).cost
    assert found.temperature == pytest.approx(1.3)
    assert found.difference == pytest.approx(0, abs=1e-12)
    assert found.state == "same"
    assert found.p > 0.5


def test_between_two_temperatures_near_one_the_square_of_the_step_counts(ranking, logits):
    warm = log_softmax(logits[0] / 1.05, axis=-1)
    entropies = ranking.curve_entropy.copy()
    entropies[1, TEMPERATURES.index(1.0)] = entropy(warm)
    found = replace(ranking, curve_entropy=entropies).cost
    exact = divergence(warm, log_softmax(logits[0], axis=-1)).mean()
    assert found.tuned == pytest.approx(exact, rel=0.1)  # in proportion to the step it would be three times as much


def test_an_entropy_out_of_reach_has_no_cost(ranking):
    entropies = ranking.curve_entropy.copy()
    entropies[1] = 99
    assert replace(ranking, curve_entropy=entropies).cost is None
    assert replace(ranking, curve_rows=ranking.curve_rows[:1]).cost is None


def test_it_is_said_once_and_drawn(ranking):
    said = cost_sentence(ranking)
    assert f"{ranking.cost.temperature:.2f}" in said
    assert "the range costs more" in said
    assert said in sentences(ranking, ranking.choice)
    assert said.removesuffix(".")[20:] in repr(ranking)
    assert ranking.to_dict()["cost_at_equal_entropy"]["drift"] == ranking.cost.hybrid
    axis = plot_cost(ranking).axes[0]
    shown = np.array(TEMPERATURES) <= 2
    np.testing.assert_allclose(axis.get_lines()[0].get_ydata(), ranking.curve_drift[0].mean(axis=1)[shown])
    assert [line.get_xdata()[0] for line in axis.get_lines()[1::2]] == pytest.approx(
        ranking.curve_entropy[:, TEMPERATURES.index(1.0)].mean(axis=1).tolist()
    )


def test_an_interval_alone_claims_nothing(ranking, logits):
    found = ranking.cost
    drift = ranking.curve_drift[1, TEMPERATURES.index(1.0)]
    assert found.prompts == len(drift)
    shifts = [shift for shift in np.linspace(-0.5, 0.5, 401) if state_of(ranking, shift) == "more?"]
    assert shifts  # some differences leave zero out of the interval and fail the test
    said = cost_sentence(shifted(ranking, shifts[0]))
    assert "that the range costs more is not confirmed" in said
    assert "p = " in said


def test_few_prompts_are_exploratory(ranking):
    few = replace(ranking, curve_entropy=ranking.curve_entropy[..., :6], curve_drift=ranking.curve_drift[..., :6])
    assert few.cost.exploratory
    assert "exploratory: 6 prompts" in cost_sentence(few)
    fewer = replace(ranking, curve_entropy=ranking.curve_entropy[..., :3], curve_drift=ranking.curve_drift[..., :3])
    assert fewer.cost.state == "undefined"
    assert "with so few prompts neither is shown" in cost_sentence(fewer)


def shifted(ranking, shift):
    """The hybrid nearer to tuned, or farther, by as much on every prompt."""
    drifts = ranking.curve_drift.copy()
    drifts[1] += shift
    return replace(ranking, curve_drift=drifts, resamples=200)


def state_of(ranking, shift):
    return shifted(ranking, shift).cost.state

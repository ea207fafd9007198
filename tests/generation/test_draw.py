"""Drawing a token: support and probabilities as transformers' warpers, and the distribution of what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from slr_probe.errors import GenerationError
from slr_probe.generation import Sampling
from slr_probe.generation.draw import draw, uniforms, weights

SETTINGS = [
    {},
    {"temperature": 0.6},
    {"temperature": 1.7},
    {"top_k": 1},
    {"top_k": 40},
    {"top_k": 10_000},
    {"top_p": 0.95},
    {"top_p": 0.3},
    {"top_p": 1e-6},
    {"min_p": 0.1},
    {"min_p": 1.0},
    {"temperature": 0.6, "top_p": 0.95},
    {"temperature": 1.5, "top_k": 300, "top_p": 0.9, "min_p": 0.02},
]


def warped(logits, sampling):
    """Probabilities as transformers computes them, warpers in its order."""
    steps = LogitsProcessorList()
    if sampling.temperature != 1:
        steps.append(TemperatureLogitsWarper(float(sampling.temperature)))
    if sampling.top_k:
        steps.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        steps.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        steps.append(MinPLogitsWarper(sampling.min_p))
    return steps(None, logits).softmax(dim=-1)


@pytest.mark.parametrize("vocab", [7, 512, 1500])
@pytest.mark.parametrize("settings", SETTINGS)
def test_equals_the_warpers(settings, vocab):
    generator = torch.Generator().manual_seed(vocab)
    for spread in (0.1, 1.0, 6.0):
        logits = spread * torch.randn(8, vocab, generator=generator)
        sampling = Sampling(**settings)
        ours = weights(logits.clone(), sampling)
        theirs = warped(logits.clone(), sampling)
        torch.testing.assert_close(ours / ours.sum(dim=-1, keepdim=True), theirs, rtol=1e-4, atol=1e-7)
        assert ((ours > 0) == (theirs > 0)).float().mean() > 0.9999 or vocab < 100
        assert ((ours > 0) != (theirs > 0)).sum() <= (0 if vocab < 1000 or "top_p" not in settings else 2)


def test_ties_at_the_edge_of_top_p_are_kept_together():
    logits = torch.log(torch.tensor([[0.4, 0.2, 0.2, 0.2]]))
    assert (weights(logits, Sampling(top_p=0.5)) > 0).tolist() == [[True, True, True, True]]
    assert (weights(logits, Sampling(top_p=0.39)) > 0).tolist() == [[True, False, False, False]]


def test_inverse_of_the_distribution_function():
    """Every token gets exactly its stretch of [0, 1)."""
    p = torch.tensor([0.125, 0.0, 0.25, 0.5, 0.125, 0.0])
    edges = torch.tensor([0.0, 0.124, 0.126, 0.374, 0.376, 0.874, 0.876, 1 - 2**-53], dtype=torch.float64)
    drawn = draw(p.log().expand(len(edges), -1), edges, Sampling())
    assert drawn.tolist() == [0, 0, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize("vocab", [5, 511, 512, 513, 3000])
def test_inverse_equals_a_plain_cumulative_sum(vocab):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(200, vocab, generator=generator, dtype=torch.float32) * 3
    uniform = torch.rand(200, generator=generator, dtype=torch.float64)
    edges = logits.double().softmax(dim=-1).cumsum(dim=-1)
    expected = (edges <= uniform[:, None]).sum(dim=-1).clamp(max=vocab - 1)
    found = draw(logits, uniform, Sampling())
    near = (edges - uniform[:, None]).abs().amin(dim=-1) < 1e-6  # float32 may decide these either way
    assert (found == expected)[~near].all()
    assert near.sum() < 5


def test_numbers_close_to_one_stay_in_the_support():
    logits = torch.full((3, 2000), -200.0)
    logits[:, 700] = 0.0
    ones = torch.full((3,), 1 - 2**-53, dtype=torch.float64)
    assert draw(logits, ones, Sampling()).tolist() == [700] * 3


def test_distribution_of_draws():
    """Chi-square of 20,000 draws with keyed numbers against the exact probabilities."""
    logits = torch.randn(1, 30, generator=torch.Generator().manual_seed(1))
    sampling = Sampling(temperature=0.8, min_p=0.05)
    chances = torch.tensor([uniforms(0, "prompt", k, 1)[0] for k in range(20_000)])
    drawn = draw(logits.expand(len(chances), -1), chances, sampling)
    exact = warped(logits, sampling)[0].double().numpy()
    counts = np.bincount(drawn.numpy(), minlength=30)
    assert counts[exact == 0].sum() == 0
    assert chisquare(counts[exact > 0], len(chances) * exact[exact > 0] / exact.sum()).pvalue > 1e-3


def test_greedy_and_bad_logits():
    logits = torch.tensor([[0.0, 3.0, 3.0], [1.0, 0.0, -1.0]], dtype=torch.bfloat16)
    assert draw(logits, torch.zeros(2).double(), Sampling(temperature=0)).tolist() == [1, 0]
    for bad in (float("nan"), float("inf")):
        with pytest.raises(GenerationError, match="NaN or infinite"):
            draw(torch.tensor([[0.0, bad]]), torch.zeros(1).double(), Sampling())


def test_keyed_numbers():
    one = uniforms(0, "a", 0, 6)
    assert ((one >= 0) & (one < 1)).all()
    np.testing.assert_array_equal(one[:4], uniforms(0, "a", 0, 4))
    others = [uniforms(1, "a", 0, 6), uniforms(0, "b", 0, 6), uniforms(0, "a", 1, 6), uniforms(-1, "a", 0, 6)]
    others += [uniforms(0, "1:a", 0, 6), uniforms(0, "", 0, 6)]
    seen = {row.tobytes() for row in [one, *others]}
    assert len(seen) == 7
    many = np.concatenate([uniforms(0, f"prompt {i}", k, 8) for i in range(40) for k in range(40)])
    counts = np.histogram(many, bins=20, range=(0, 1))[0]
    assert chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize(
    "bad",
    [
        {"temperature": -1},
        {"temperature": 1e-40},
        {"temperature": float("nan")},
        {"top_p": 0},
        {"top_p": 1.1},
        {"top_k": -1},
        {"top_k": 2.5},
        {"min_p": 2},
        {"max_tokens": 0},
        {"seed": 0.5},
        {"seed": -1},
        {"stop": ("",)},
        {"temperature": True},
    ],
)
def test_bad_settings(bad):
    with pytest.raises(GenerationError, match=next(iter(bad))):
        Sampling(**bad)


def test_settings_as_plain_data():
    sampling = Sampling(temperature=0.6, top_p=0.95, stop="\n")
    assert sampling.stop == ("\n",)
    assert Sampling.from_dict(sampling.to_dict()) == sampling
    with pytest.raises(GenerationError, match="unknown sampling setting 'beams'"):
        Sampling.from_dict({"beams": 4})

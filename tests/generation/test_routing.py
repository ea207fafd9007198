"""Base and tuned that share one text, against a loop that runs both models on the whole text at each step."""

import numpy as np
import pytest
import torch

from slr_probe import generate
from slr_probe.errors import GenerationError
from slr_probe.generation import Sampling
from slr_probe.generation.decode import Request, write
from slr_probe.generation.draw import draw, uniforms
from slr_probe.generation.sources import Route, read_sources
from slr_probe.generation.state import Routed
from tests.tiny import VOCAB, make_model, make_pair

SAMPLING = Sampling(temperature=1.2, min_p=0.05, max_tokens=10)
PROMPTS = [tuple(np.random.default_rng(i).integers(10, VOCAB - 5, size=3 + i).tolist()) for i in range(4)]


@torch.inference_mode()
def middle(model):
    """The median of a model's largest probability, so that such a threshold divides the steps."""
    found = [model(input_ids=torch.tensor([ids])).logits[0].softmax(dim=-1).amax(dim=-1) for ids in PROMPTS]
    return float(torch.cat(found).median())


@torch.inference_mode()
def by_hand(base, tuned, ids, beside, numbers, threshold):
    written, routes = [], []
    for step in range(SAMPLING.max_tokens):
        both = [
            model(input_ids=torch.tensor([[*prompt, *written]]), use_cache=False).logits[0, -1]
            for model, prompt in ((base, beside), (tuned, ids))
        ]
        routes.append(bool(both[0].softmax(dim=-1).max() < threshold))
        token = int(draw(both[0 if routes[-1] else 1][None], torch.tensor([numbers[step]]), SAMPLING))
        if token == 3:
            break
        written.append(token)
    return tuple(written), routes


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_tokens_are_those_of_a_loop_over_whole_texts(family):
    base, tuned = (make_model(family, seed) for seed in (1, 2))
    threshold = middle(base)
    beside = [ids[::-1][:3] if i % 2 else () for i, ids in enumerate(PROMPTS)]  # base may read the prompt otherwise
    requests = [Request(str(i), ids, (0, 1, 2), beside[i]) for i, ids in enumerate(PROMPTS)]
    found = {
        (one.id, one.number): one.tokens
        for part in write(Routed(base, tuned, threshold), requests, SAMPLING, ends=(3,))
        for one in part
    }
    taken = []
    for i, ids in enumerate(PROMPTS):
        for number in range(3):
            read = beside[i] or ids
            expected, routes = by_hand(
                base, tuned, ids, read, uniforms(0, str(i), number, SAMPLING.max_tokens), threshold
            )
            assert found[str(i), number] == expected
            taken += routes
    assert 0.1 < np.mean(taken) < 0.9  # both models write


@pytest.fixture(scope="module")
def pair():
    return make_pair()


def test_at_the_ends_of_the_threshold_one_model_writes_all(pair, tmp_path):
    asked = [("a", "Say a"), ("b", "Say b")]
    routes = {"none": Route(0.0), "all": Route(1.1), "tuned": "tuned", "base": "base (plain)"}
    found = generate(pair, asked, routes, samples=3, sampling=SAMPLING, out=tmp_path)
    assert found["none"].texts == found["tuned"].texts
    assert found["all"].texts == found["base"].texts
    assert found["all"].texts != found["none"].texts
    again = generate(pair, asked, routes, samples=3, sampling=SAMPLING, out=tmp_path)
    assert again == found
    with pytest.raises(GenerationError, match="other settings"):
        generate(pair, asked, {"all": Route(0.4)}, samples=3, sampling=SAMPLING, out=tmp_path)


def test_what_cannot_route_says_so(pair):
    with pytest.raises(GenerationError, match="two models at every token"):
        read_sources(pair, {"r": Route(0.5)}, None, folders=True)
    for bad in (-1, float("nan"), "0.5", True):
        with pytest.raises(GenerationError, match="a number from 0"):
            Route(bad)

import pytest

from slr_probe import ModelPair
from slr_probe.generation import Sampling, generate

PROMPTS = [("a", "Pick a letter."), ("b", "Name a colour."), ("c", "Tell me a joke about a cat.")]
SHORT = Sampling(max_tokens=10, seed=1)


@pytest.fixture(scope="module")
def pair():
    return ModelPair.load("organism:base", "organism:dpo", device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def whole(pair):
    return generate(pair, PROMPTS, ["tuned", "2:4"], samples=3, sampling=SHORT)

"""What a validation costs: each task by name, and what it cannot know."""

from __future__ import annotations

import pytest

from slr_probe import ModelPair
from slr_probe.validation.cost import validation_cost


@pytest.fixture(scope="module")
def pair():
    return ModelPair.load("organism:base", "organism:dpo", device="cpu", dtype="float32")


def test_more_outputs_cost_more_and_scoring_models_are_unknown(pair) -> None:
    asked = {"preset": "quick", "prompts": 2, "max_tokens": 4, "baselines": "none", "crc": False}
    few = validation_cost(pair, "1:2", ["qa"], samples=2, **asked)
    many = validation_cost(pair, "1:2", ["qa"], samples=400, **asked, embedder=lambda texts: texts)
    assert 0 < few.seconds < many.seconds
    assert not few.unknown
    assert many.unknown == ("embedder",)

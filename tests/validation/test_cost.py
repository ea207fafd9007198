"""What a validation costs: each task by name, and what it cannot know."""

from __future__ import annotations

import inspect

import pytest

from slr_probe import ModelPair, validate
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


def test_it_is_told_of_what_validate_does_by_default() -> None:
    costs, does = (inspect.signature(one).parameters for one in (validation_cost, validate))
    common = costs.keys() & does.keys()
    assert {"temperatures", "stories", "min_ps", "random_ranges"} <= common
    assert {name: costs[name].default for name in common} == {name: does[name].default for name in common}


def test_fewer_stories_than_questions_are_counted(pair, monkeypatch) -> None:
    asked = {"preset": "quick", "samples": 2, "max_tokens": 4, "baselines": "none", "crc": False}
    counted = []
    monkeypatch.setattr(
        "slr_probe.validation.cost._task_seconds", lambda pair, task, *_: counted.append(len(task.items)) or 0.0
    )
    for options in ({"prompts": 6}, {"prompts": 6, "stories": 3}):
        validation_cost(pair, "1:2", ["writing", "qa"], **asked, **options)
    assert counted == [4, 6, 3, 6]

"""With workers, the caller of a ranking and of a validation loads no model, and finds what it would find alone."""

from functools import partial

import numpy as np
import pytest
from transformers import AutoModelForCausalLM

from slr_probe import CRCTask, ModelPair, rank_layers, validate
from slr_probe.executor import LocalExecutor
from slr_probe.pair.travel import by_worker
from slr_probe.rank import Guards
from slr_probe.rank.cost import ranking_cost
from slr_probe.rank.guards.replies import sample_replies
from slr_probe.validation.cost import estimated, validation_cost

GUARDS = Guards(replies=4, openings=1, max_tokens=12)
TASK = CRCTask.default().thinned(2)
RANKED = {"task": TASK.selection, "method": "delta", "guards": GUARDS, "soups": 0}
VALIDATED = {
    **{"tasks": ["qa"], "prompts": 2, "samples": 2, "max_tokens": 4, "baselines": ["early"], "crc": TASK},
    "preset": "quick",
}


@pytest.fixture
def pairs(monkeypatch):
    """One that is not loaded, in a process where nothing can be; and one that was before."""
    loaded, other = (ModelPair.load("organism:base", "organism:dpo", device="cpu") for _ in range(2))
    assert loaded.base is not None
    assert loaded.tuned is not None
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", lambda *_, **__: pytest.fail("loaded at the caller"))
    return other, loaded


def test_a_ranking(workers, pairs):
    other, loaded = pairs
    executor = workers(1)
    told = by_worker(executor, partial(ranking_cost, **RANKED), other)
    assert {"replies", "ranges"} <= told.parts.keys()
    found, replies = rank_layers(other, executor=executor, **RANKED), sample_replies(loaded, GUARDS, None)
    texts = [one for half, replied in replies.items() for one in replied.texts(loaded.tokenizer, half)]
    assert len(texts) > 2
    assert list(found.reply_texts) == texts


def test_a_validation(workers, pairs):
    executor = workers(1)
    judged = {"judge": lambda texts: texts, "executor": executor}  # neither can travel
    told = by_worker(executor, partial(validation_cost, recipes="3:9", **estimated(VALIDATED | judged)), pairs[0])
    assert told.parts.keys() >= {"CRC"}
    assert "judge" in told.unknown
    by = zip(pairs, (executor, LocalExecutor()), strict=True)
    found, here = (validate(pair, "3:9", executor=who, **VALIDATED) for pair, who in by)
    np.testing.assert_array_equal(found.values, here.values)
    np.testing.assert_array_equal(found.crc_diversity, here.crc_diversity)

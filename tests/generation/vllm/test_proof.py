"""A swap is proved: another model, an old one, and a cache of the old one are found out."""

import numpy as np
import pytest

from slr_probe import ModelPair, Recipe, restored
from slr_probe.errors import GenerationError
from slr_probe.generation.vllm.proof import TOLERANCE, distance, make_proof

TUNED, HYBRID = Recipe.tuned(4), Recipe.restore("1:3", 4)


@pytest.fixture
def proof(pair):
    return make_proof(pair, "float32").including(pair, [TUNED, HYBRID])


def logprobs_of(model):
    import torch

    @torch.no_grad()
    def told(prompts, tokens):
        rows = [model(input_ids=torch.tensor([list(ids)])).logits[0, -1].double().log_softmax(-1) for ids in prompts]
        return [{token: float(row[token]) for token in some} for row, some in zip(rows, tokens, strict=True)]

    return told


def test_the_models_of_a_sweep_pass(pair, proof):
    tuned = proof.ask(logprobs_of(pair.tuned))
    proof.check(TUNED, tuned, None)
    with restored(pair, HYBRID) as model:
        hybrid = proof.ask(logprobs_of(model))
    proof.check(HYBRID, hybrid, (TUNED, tuned))
    assert np.allclose(hybrid.sum(axis=1), 1)
    assert distance(tuned, hybrid) > 10 * TOLERANCE["float32"]


def test_another_model_does_not_pass(pair, proof):
    with pytest.raises(GenerationError, match=r"does not run 'restore 1:3 of 4'.*vllm-folders"):
        proof.check(HYBRID, proof.ask(logprobs_of(pair.tuned)), None)


def test_an_engine_that_did_not_change_does_not_pass(pair):
    """In bfloat16 more is allowed; a model that answers as before to the last bit is found out all the same."""
    loose = make_proof(pair, "bfloat16").including(pair, [TUNED, HYBRID])
    near = {**loose.expected, HYBRID: loose.expected[TUNED] * 0.99}
    loose = type(loose)(loose.queries, near, loose.tolerance)
    answers = loose.ask(logprobs_of(pair.tuned))
    loose.check(HYBRID, answers, None)
    with pytest.raises(GenerationError, match="still answers as"):
        loose.check(HYBRID, answers, (TUNED, answers))
    loose.check(TUNED, answers, (TUNED, answers))


def test_nan_does_not_pass(proof):
    with pytest.raises(GenerationError, match="does not run"):
        proof.check(TUNED, proof.expected[TUNED] * np.nan, None)


def test_soups_are_allowed_the_rounding_of_the_file(folders):
    pair = ModelPair.load(*folders, device="cpu", dtype="float32")
    assert make_proof(pair, "float32").tolerance == (TOLERANCE["float32"],) * 2
    assert make_proof(pair, "bfloat16").tolerance == (TOLERANCE["bfloat16"],) * 2


def test_each_model_is_measured_once(pair, proof, monkeypatch):
    monkeypatch.setattr("slr_probe.generation.vllm.proof.sweep", lambda *_, **__: pytest.fail("measured again"))
    assert proof.including(pair, [TUNED, HYBRID, TUNED]) is proof

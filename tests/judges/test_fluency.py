"""Fluency against a loop over tokens written by hand."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch

from organism.corpus import plain_document
from slr_probe import ModelPair
from slr_probe.errors import JudgeError
from slr_probe.judges import Fluency
from tests.tiny import make_model
from tests.tiny_tokenizer import make_tokenizer

PROMPTS = ["Pick a letter.", "Name a colour.", "Tell me a short story.", "Pick a letter."]
TEXTS = ["a", " the colour is blue, or green", "", "letter b and more"]


@torch.no_grad()
def loop(model, head, tail):
    """Mean of -log p of each token, each from its own forward."""
    nats = []
    for i, token in enumerate(tail):
        logits = model(input_ids=torch.tensor([[*head, *tail[:i]]]), use_cache=False).logits[0, -1].double()
        nats.append(float(logits.logsumexp(0) - logits[token]))
    return sum(nats) / len(nats) if nats else math.nan


@pytest.mark.parametrize("format", ["chat", "plain"])
@pytest.mark.parametrize("batch_tokens", [1, 60, 8192])
def test_equals_a_loop(format, batch_tokens):
    pair = ModelPair.load("organism:base", "organism:dpo", device="cpu", dtype="float32")
    found = Fluency(pair.base, pair.tokenizer, format=format, batch_tokens=batch_tokens)(PROMPTS, TEXTS)
    tails = [pair.tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
    expected = [loop(pair.base, pair.render(p, format), tail) for p, tail in zip(PROMPTS, tails, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-5, equal_nan=True)
    assert np.isnan(found).tolist() == [False, False, True, False]


def test_every_architecture(family):
    model, tokenizer = make_model(family, seed=1), make_tokenizer()
    found = Fluency(model, tokenizer, format="plain")(["ab", "abc d"], ["cab", "d"])
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("cab", "d")]
    render = Fluency(model, tokenizer)._render
    heads = [render(prompt, "plain") for prompt in ("ab", "abc d")]
    expected = [loop(model, head, tail) for head, tail in zip(heads, ids, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_side_of_a_pair_and_a_folder():
    pair = ModelPair.load("organism:base", "organism:dpo", device="cpu")
    one = Fluency.of_pair(pair, "base", format="plain")
    other = Fluency("organism:base", format="plain", device="cpu")
    assert other.name == "organism:base"
    assert one.name == "base (organism:base)"
    np.testing.assert_allclose(one(PROMPTS, TEXTS), other(PROMPTS, TEXTS), rtol=1e-5, equal_nan=True)
    assert one.describe() == {**other.describe(), "name": one.name}


def test_describes_what_its_scores_depend_on():
    base, tuned = (ModelPair.load("organism:base", "organism:dpo", device="cpu").base, make_model("llama", seed=1))
    tokenizer = make_tokenizer()
    one = Fluency(tuned, tokenizer, name="x").describe()
    assert one == Fluency(make_model("llama", seed=1), tokenizer, name="x", format="chat").describe()
    for other in (Fluency(tuned, tokenizer, name="x", format="plain"), Fluency(base, tokenizer, name="x")):
        assert other.describe() != one


def test_it_tells_text_from_noise():
    """The base model finds texts of its own world likelier than the same words shuffled."""
    rng = random.Random(0)
    documents = [d for d in (plain_document(rng) for _ in range(200)) if len(d.completion.split()) > 8][:8]
    shuffled = [" " + " ".join(rng.sample(words, len(words))) for words in (d.completion.split() for d in documents)]
    fluency = Fluency("organism:base", format="plain", device="cpu")
    contexts = [document.context for document in documents]
    sense, noise = fluency(contexts, [d.completion for d in documents]), fluency(contexts, shuffled)
    assert len(documents) == 8
    assert (sense + 0.5 < noise).all()


def test_bad_input(tmp_path):
    pair = ModelPair.load("organism:base", "organism:dpo", device="cpu")
    with pytest.raises(JudgeError, match="'base' or 'tuned'"):
        Fluency.of_pair(pair, "hybrid")
    with pytest.raises(JudgeError, match="needs its tokenizer"):
        Fluency(pair.base)
    with pytest.raises(JudgeError, match="one prompt for each text"):
        Fluency.of_pair(pair)(["a"], [])
    with pytest.raises(JudgeError, match="tokens; base"):
        Fluency.of_pair(pair)(["a"], ["word " * 5000])
    with pytest.raises(JudgeError, match="cannot be found"):
        Fluency(tmp_path / "absent")

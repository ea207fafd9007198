"""The decoding loop against transformers' own, over architectures; padding and batches change nothing."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from transformers import AutoConfig, AutoModelForCausalLM

from slr_probe import ModelPair
from slr_probe.errors import GenerationError
from slr_probe.generation import Sampling, generate
from slr_probe.generation.decode import Request, batches, write
from slr_probe.generation.draw import uniforms
from slr_probe.generation.state import State, may_be_padded, writes_without_cache
from tests.tiny import VOCAB, make_model

GREEDY = Sampling(temperature=0, max_tokens=12)


def prompts(seed=0, count=5, longest=14):
    rng = np.random.default_rng(seed)
    return [tuple(rng.integers(10, VOCAB - 5, size=rng.integers(1, longest)).tolist()) for _ in range(count)]


def texts_of(model, asked, sampling, ends=(3,), samples=1, **options):
    requests = [Request(str(i), ids, tuple(range(samples))) for i, ids in enumerate(asked)]
    found = [one for part in write(model, requests, sampling, ends=ends, **options) for one in part]
    assert len(found) == len(asked) * samples
    return {(one.id, one.number): one for one in found}


@torch.inference_mode()
def reference(model, ids, numbers, sampling, ends=(3,)):
    """One sample, one token at a time, the whole text run anew at each step; probabilities in float64."""
    ids, written = list(ids), []
    for step in range(sampling.max_tokens):
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].double()
        if sampling.greedy:
            token = int(logits.argmax())
        else:
            edges = (logits / sampling.temperature).softmax(dim=-1).cumsum(dim=-1)
            token = min(int((edges <= numbers[step]).sum()), len(edges) - 1)
        if token in ends:
            return tuple(written), True
        written.append(token)
        ids.append(token)
    return tuple(written), False


def test_greedy_equals_transformers(family):
    model = make_model(family, seed=3)
    found = texts_of(model, prompts(), GREEDY)
    for i, ids in enumerate(prompts()):
        prompt = torch.tensor([ids])
        options = {"do_sample": False, "max_new_tokens": 12, "eos_token_id": 3, "pad_token_id": 0}
        out = model.generate(prompt, attention_mask=torch.ones_like(prompt), **options)
        tokens = out[0, len(ids) :].tolist()
        expected = tokens[: tokens.index(3)] if 3 in tokens else tokens
        assert list(found[str(i), 0].tokens) == expected
        assert found[str(i), 0].finished == (3 in tokens)


def test_samples_equal_a_plain_loop(family):
    """Left padding, cache, expansion to samples and dropped rows against the definition."""
    model = make_model(family, seed=4)
    sampling = Sampling(temperature=0.9, max_tokens=8, seed=5)
    ends = tuple(range(0, VOCAB, 6))  # many ends, so that rows leave the batch at different steps
    asked = prompts(1, count=4)
    found = texts_of(model, asked, sampling, ends=ends, samples=3)
    lengths = set()
    for i, ids in enumerate(asked):
        for k in range(3):
            expected = reference(model, ids, uniforms(5, str(i), k, 8), sampling, ends)
            one = found[str(i), k]
            assert (one.tokens, one.finished) == expected
            lengths.add(len(one.tokens))
    assert len(lengths) > 2


def test_batch_does_not_matter(pair_of):
    model = make_model("gemma3_text", seed=4)  # sliding windows of 4 tokens
    sampling = Sampling(max_tokens=10)
    asked = prompts(2, count=6)
    together = texts_of(model, asked, sampling, samples=4)
    one_by_one = texts_of(model, asked, sampling, samples=4, batch_tokens=24)
    assert together == one_by_one


def test_without_a_cache(monkeypatch):
    model = make_model("llama", seed=4)
    usual = texts_of(model, prompts(3), Sampling(max_tokens=6), samples=2)
    forward = type(model).forward

    def forgetful(self, **options):
        assert options.pop("past_key_values", None) is None
        out = forward(self, **{**options, "use_cache": False})
        out.past_key_values = None
        return out

    monkeypatch.setattr(type(model), "forward", forgetful)
    assert texts_of(model, prompts(3), Sampling(max_tokens=6), samples=2) == usual


@pytest.mark.parametrize("taken", ["cache", "kv_cache"])
@pytest.mark.parametrize("returned", ["cache", "past_key_values"])
def test_a_cache_goes_by_any_of_its_names(taken, returned, monkeypatch):
    """`past_key_values` is on its way out of transformers."""
    model = make_model("llama", seed=4)
    usual = texts_of(model, prompts(3), Sampling(max_tokens=6), samples=2)
    forward, widths = type(model).forward, []

    def renamed(self, input_ids=None, attention_mask=None, position_ids=None, use_cache=None, **options):
        widths.append(input_ids.shape[1])
        masks = {"attention_mask": attention_mask, "position_ids": position_ids, "use_cache": use_cache}
        out = forward(self, input_ids, past_key_values=options.pop(taken, None), **masks, **options)
        return SimpleNamespace(logits=out.logits, **{returned: out.past_key_values})

    own = [one for one in inspect.signature(renamed).parameters.values() if one.name != "options"]
    cache = inspect.Parameter(taken, inspect.Parameter.KEYWORD_ONLY, default=None)
    renamed.__signature__ = inspect.Signature([*own, cache])
    monkeypatch.setattr(type(model), "forward", renamed)
    assert texts_of(model, prompts(3), Sampling(max_tokens=6), samples=2) == usual
    assert widths.count(1) >= 5


RECURRENT = {
    "mamba": {"state_size": 4},
    "mamba2": {"state_size": 4, "num_heads": 8, "head_dim": 8, "expand": 2, "n_groups": 2, "chunk_size": 4},
    "falcon_mamba": {"state_size": 4},
    "rwkv": {"attention_hidden_size": 32, "context_length": 64},
    "bamba": {
        **{"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1, "attn_layer_indices": [1]},
        **{"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48},
    },
}


def recurrent_model(kind):
    torch.manual_seed(1)
    sizes = {"vocab_size": VOCAB, "hidden_size": 32, "num_hidden_layers": 2, "eos_token_id": 3}
    config = AutoConfig.for_model(kind, **sizes, **RECURRENT[kind])
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.2)
    return model


@pytest.mark.parametrize("kind", RECURRENT)
@pytest.mark.parametrize("samples", [1, 3])
def test_models_with_a_state_remember_their_text(kind, samples):
    """They call their cache otherwise, and multiply by a mask of any length; the reference runs the whole text anew."""
    model, sampling = recurrent_model(kind), Sampling(max_tokens=8, seed=5)
    found = texts_of(model, prompts(), sampling, samples=samples)
    for i, ids in enumerate(prompts()):
        for k in range(samples):
            expected = reference(model, ids, uniforms(5, str(i), k, 8), sampling)
            assert (found[str(i), k].tokens, found[str(i), k].finished) == expected


@pytest.mark.parametrize("fault", ["ignored", "later", "fails", "fails at once", "mixes rows"])
def test_a_cache_that_forgets_is_done_without(fault, monkeypatch):
    """The step is compared with a forward of the whole rows, and the next one too."""
    model = make_model("llama", seed=3)
    right = texts_of(make_model("llama", seed=3), prompts(), GREEDY)
    forward, calls = model.forward, []

    def forgets(past_key_values=None, **options):
        calls.append(past_key_values is not None)
        if (fault == "fails" and calls[-1]) or (fault == "fails at once" and options["use_cache"]):
            raise ValueError("it has the wrong shape")
        if fault == "mixes rows" and calls[-1]:
            past_key_values.reorder_cache(torch.tensor([0] * len(options["input_ids"])))
        dropped = calls[-1] and (fault == "ignored" or (fault == "later" and sum(calls) > 1))
        return forward(past_key_values=None if dropped else past_key_values, **options)

    monkeypatch.setattr(model, "forward", forgets)
    with pytest.warns(UserWarning, match="it is run without"):
        found = texts_of(model, prompts(), GREEDY)
    assert found == right
    assert writes_without_cache(model)


def test_left_padding_hides_what_it_pads_with():
    model = make_model("mistral", seed=2)
    ids, mask = torch.tensor([[9, 9, 9, 20, 21]]), torch.tensor([[0, 0, 0, 1, 1]])
    plain = State(model, torch.tensor([[20, 21]]), torch.ones(1, 2, dtype=torch.int64)).logits
    torch.testing.assert_close(State(model, ids, mask).logits, plain, rtol=1e-5, atol=1e-5)
    ids[0, :3] = 77
    torch.testing.assert_close(State(model, ids, mask).logits, plain, rtol=1e-5, atol=1e-5)


def test_recurrent_models_are_not_padded():
    assert may_be_padded(make_model("gemma3", seed=0))
    assert not may_be_padded(make_model("qwen3_5", seed=0))
    requests = [Request(str(i), ids, (0,)) for i, ids in enumerate(prompts(0, 30))]
    for batch in batches(requests, Sampling(), 10_000, padded=False):
        assert len({len(request.ids) for request in batch}) == 1


@pytest.mark.parametrize("bound", [80, 200, 1000, 10**6])
def test_batches_hold_every_sample_once_within_the_bound(bound):
    requests = [Request(str(i), ids, tuple(range(5))) for i, ids in enumerate(prompts(4, 20))]
    sampling = Sampling(max_tokens=20)
    seen = []
    for batch in batches(requests, sampling, bound):
        rows = sum(len(request.samples) for request in batch)
        assert rows * (max(len(r.ids) for r in batch) + 20) <= bound
        seen += [(request.id, sample) for request in batch for sample in request.samples]
    assert sorted(seen) == sorted((r.id, k) for r in requests for k in range(5))


def test_what_does_not_fit_is_an_error():
    model = make_model("llama", seed=0)
    with pytest.raises(GenerationError, match=r"'0' has 30 tokens.*context of 64"):
        texts_of(model, [tuple(range(10, 40))], Sampling(max_tokens=40))
    with pytest.raises(GenerationError, match="batch_tokens=10 cannot hold one row"):
        texts_of(model, prompts(), Sampling(max_tokens=40), batch_tokens=10)


def test_the_embedded_pair_writes_the_same_in_every_batch():
    pair = ModelPair.load("organism:base", "organism:dpo", device="cpu", dtype="float32")
    asked = [
        (str(i), text)
        for i, text in enumerate(["Pick a letter.", "Tell me a short story about a fox.", "Name a colour."])
    ]
    options = {"samples": 4, "sampling": Sampling(max_tokens=20, seed=3)}
    whole = generate(pair, asked, ["base", "base (plain)", "tuned", "2:6"], **options)
    alone = generate(pair, asked[1:2], ["tuned", "2:6"], batch_tokens=80, **options)
    for name, outputs in alone.items():
        assert outputs.texts[0] == whole[name].texts[1]
    assert whole["base"].texts != whole["base (plain)"].texts
    assert len({outputs.texts for outputs in whole.values()}) == 4
    more = generate(pair, asked, ["tuned"], samples=6, sampling=Sampling(max_tokens=20, seed=3))["tuned"]
    assert tuple(texts[:4] for texts in more.texts) == whole["tuned"].texts
    other = generate(pair, asked, ["tuned"], samples=4, sampling=Sampling(max_tokens=20, seed=4))["tuned"]
    assert other.texts != whole["tuned"].texts


def test_first_tokens_follow_the_model():
    """Chi-square of 3,000 samples of the embedded pair against the exact next-token probabilities."""
    pair = ModelPair.load("organism:base", "organism:dpo", device="cpu", dtype="float32")
    ids = tuple(pair.render("Pick a letter."))
    with torch.no_grad():
        exact = pair.base(input_ids=torch.tensor([ids])).logits[0, -1].double().softmax(dim=-1).numpy()
    requests = [Request("letter", ids, tuple(range(3000)))]
    found = [one for part in write(pair.base, requests, Sampling(max_tokens=1), ends=()) for one in part]
    counts = np.bincount([one.tokens[0] for one in found], minlength=len(exact))
    common = exact * 3000 >= 5
    observed = np.append(counts[common], counts[~common].sum())
    expected = np.append(exact[common], exact[~common].sum()) * 3000
    assert common.sum() > 5
    assert chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-3

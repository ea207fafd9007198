"""A recipe with an end bias writes in memory what its folder writes, and what transformers writes."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from slr_probe import CRCTask, ModelPair, Recipe, generate, restore, restored
from slr_probe.errors import RecipeError
from slr_probe.generation import Sampling
from slr_probe.generation.decode import Request, end_tokens, write
from slr_probe.sweep import sweep

PROMPTS = [("one", "Pick a letter."), ("two", "Tell me a joke about a cat."), ("three", "Name a color.")]


@pytest.fixture(scope="module")
def pair():
    return ModelPair.load("organism:base", "organism:dpo", device="cpu")


@pytest.fixture(scope="module")
def recipe(pair):
    return Recipe.restore("2:4", pair.depth).with_end_bias(dict.fromkeys(end_tokens(pair), 20.0))


def greedy(model, ids, ends):
    """What transformers writes, up to the end token."""
    found = model.generate(
        torch.tensor([ids]), do_sample=False, max_new_tokens=12, eos_token_id=list(ends), pad_token_id=0
    )[0, len(ids) :].tolist()
    stop = next((place for place, token in enumerate(found) if token in ends), len(found))
    return found[:stop]


def test_memory_folder_and_transformers_write_the_same(pair, recipe, tmp_path):
    ends = end_tokens(pair)
    requests = [Request(name, tuple(pair.render(text)), (0,)) for name, text in PROMPTS]
    sampling = Sampling(temperature=0, max_tokens=12)
    with restored(pair, recipe) as hybrid:
        parts = list(write(hybrid, requests, sampling, ends=ends, end_bias=dict(recipe.end_bias)))
        by_generate = {request.id: greedy(hybrid, request.ids, ends) for request in requests}
    ours = {sample.id: list(sample.tokens) for part in parts for sample in part}
    folder = restore("organism:base", "organism:dpo", recipe, tmp_path / "hybrid")
    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=pair.tuned.dtype).eval()
    assert ours == by_generate == {request.id: greedy(loaded, request.ids, ends) for request in requests}
    plain = generate(pair, PROMPTS, {"h": Recipe.restore("2:4", pair.depth)}, sampling=sampling, samples=1)["h"]
    biased = generate(pair, PROMPTS, {"h": recipe}, sampling=sampling, samples=1)["h"]
    assert biased.texts != plain.texts  # twenty nats make a difference
    assert [len(row[0]) for row in biased.texts] <= [len(row[0]) for row in plain.texts]


def test_the_model_is_as_before_afterwards(pair, recipe):
    before = pair.tuned.generation_config.to_dict()
    with restored(pair, recipe) as hybrid:
        assert len(hybrid.generation_config.sequence_bias) == len(recipe.end_bias)
    assert pair.tuned.generation_config.to_dict() == before


def test_a_recipe_keeps_its_bias(pair, recipe):
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert recipe != recipe.with_end_bias(None) == Recipe.restore("2:4", pair.depth)
    assert str(recipe.layers) == "2:4"
    assert "end bias +20" in str(recipe)
    assert "end_bias" not in recipe.with_end_bias({}).to_dict()


def test_weights_alone_are_scored_merged_and_patched(pair, recipe, tmp_path):
    from slr_probe.sharing.patch import save_patch

    with pytest.raises(RecipeError, match="end bias"):
        sweep(pair, [recipe], CRCTask.default().selection)
    with pytest.raises(RecipeError, match="end bias"):
        recipe.to_mergekit("base", "tuned")
    with pytest.raises(RecipeError, match="end bias"):
        save_patch("organism:base", "organism:dpo", recipe, tmp_path / "patch.safetensors")


@pytest.mark.parametrize("bad", [{"2": 1.5}, {2: float("nan")}, {-1: 1.0}, [(1, 2, 3)], 4, [[2, 1.0], [2, 2.0]]])
def test_a_bias_that_is_none_is_refused(bad):
    with pytest.raises(RecipeError, match="end_bias maps"):
        Recipe.tuned(4).with_end_bias(bad)

"""The exported YAML, run by the real mergekit, builds the same tensors as we do."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from slr_probe import Recipe, restore
from slr_probe.errors import RecipeError
from slr_probe.recipe import BlockWeight
from tests.checkpoint.test_adapter import train_adapter
from tests.tiny import DEPTH, Pair, make_model, read_all

mergekit_config = pytest.importorskip("mergekit.config")
mergekit_merge = pytest.importorskip("mergekit.merge")
reference_of = pytest.importorskip("mergekit.common").ModelReference.model_validate

# Without an architecture table of its own mergekit 0.1.5 fails on GPT-NeoX as transformers 5 saves it, and its table
# for Llama leaves out attention biases, hence infer_architecture.
INFER = {"llama": True}
RECIPES = {
    "range": Recipe.restore("1:3", DEPTH),
    "set": Recipe.restore({0, 3}, DEPTH),
    "soup": Recipe.soup(0.3, DEPTH),
    "soup of blocks": Recipe.soup(0.85, DEPTH, blocks_only=True),
    "ramp": Recipe.ramp(0.1, 1.1, DEPTH),
    "attention": Recipe.restore("0:3", DEPTH, only="attention"),
    "mlp": Recipe.restore({1, 3}, DEPTH, only="mlp"),
    "norm": Recipe.restore("1:3", DEPTH, only="norm"),
    "mixed": Recipe(
        (BlockWeight(1.0, (("o", 0.3), ("mlp", 0.5))),) * 2 + (BlockWeight(0.0),) * (DEPTH - 2),
        embedding=0.5,
        final_norm=0.0,
        head=0.5,
    ),
    "base": Recipe.base(DEPTH, blocks_only=False),
}


@pytest.fixture(scope="module")
def bf16_pair(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("mergekit")

    def make(family: str) -> tuple[Path, Path]:
        folders = root / family / "base", root / family / "tuned"
        for seed, folder in enumerate(folders):
            if not folder.exists():
                make_model(family, seed).to(torch.bfloat16).save_pretrained(folder)
        return folders

    return make


def run_mergekit(text: str, out: Path) -> dict[str, torch.Tensor]:
    logging.disable(logging.CRITICAL)
    try:
        config = mergekit_config.MergeConfiguration.model_validate(yaml.safe_load(text))
        options = mergekit_merge.MergeOptions(quiet=True, copy_tokenizer=False, write_model_card=False)
        mergekit_merge.run_merge(config, str(out), options=options, config_source=text)
    finally:
        logging.disable(logging.NOTSET)
    return read_all(out)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("family", ["llama", "gemma3_text"])
def test_mergekit_builds_the_same_tensors(family: str, name: str, bf16_pair: Any, tmp_path: Path) -> None:
    base, tuned = bf16_pair(family)
    recipe = RECIPES[name]
    ours = read_all(restore(base, tuned, recipe, tmp_path / "ours"))
    text = recipe.to_mergekit(base, tuned, infer_architecture=INFER.get(family, False))
    theirs = run_mergekit(text, tmp_path / "theirs")
    assert theirs.keys() == ours.keys()
    for key, tensor in ours.items():
        assert torch.equal(theirs[key], tensor), key


@pytest.mark.parametrize("family", ["llama_tied", "qwen2", "qwen3", "gemma2", "mistral", "olmo2", "phi3", "gpt2"])
def test_every_family_that_mergekit_knows(family: str, bf16_pair: Any, tmp_path: Path) -> None:
    base, tuned = bf16_pair(family)
    recipe = RECIPES["mixed"]
    ours = read_all(restore(base, tuned, recipe, tmp_path / "ours"))
    theirs = run_mergekit(recipe.to_mergekit(base, tuned), tmp_path / "theirs")
    assert theirs.keys() == ours.keys()
    for key, tensor in ours.items():
        assert torch.equal(theirs[key], tensor), key


def test_a_plain_list_of_slices_is_not_the_hybrid(bf16_pair: Any, tmp_path: Path) -> None:
    """The trap that the empty slices avoid: embeddings follow the first slice."""
    base, tuned = bf16_pair("qwen2")
    recipe = Recipe.restore("0:2", DEPTH)
    config = yaml.safe_load(recipe.to_mergekit(base, tuned))
    config["slices"] = config["slices"][1:-1]
    plain = run_mergekit(yaml.safe_dump(config), tmp_path / "plain")
    name = "model.embed_tokens.weight"
    assert torch.equal(plain[name], read_all(base)[name])
    assert torch.equal(run_mergekit(recipe.to_mergekit(base, tuned), tmp_path / "ours")[name], read_all(tuned)[name])


def test_whole_block_recipes_need_no_checkpoint() -> None:
    config = yaml.safe_load(Recipe.restore("1:3", 6).to_mergekit("org/base", "org/tuned+v2"))
    assert config["merge_method"] == "passthrough"
    tuned = {"model": {"path": "org/tuned+v2"}}  # a plain + would mean an adapter
    assert config["base_model"] == tuned
    spans = [(s["sources"][0]["model"], s["sources"][0]["layer_range"]) for s in config["slices"]]
    assert spans == [(tuned, [0, 0]), (tuned, [0, 1]), ("org/base", [1, 3]), (tuned, [3, 6]), (tuned, [0, 0])]


def test_an_unknown_component_is_refused(bf16_pair: Any) -> None:
    base, tuned = bf16_pair("qwen2")
    with pytest.raises(RecipeError, match="attn"):
        Recipe.restore("1:3", DEPTH, only="attn").to_mergekit(base, tuned)


def test_an_adapter_is_named_with_its_base(pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    base, adapter = pair_of("llama").base, tmp_path / "adapter"
    train_adapter(base, adapter)
    config = yaml.safe_load(Recipe.restore("1:3", DEPTH).to_mergekit(str(base), str(adapter)))
    reference = reference_of(config["base_model"])
    assert (reference.model.path, reference.lora.path) == (str(base), str(adapter))
    named = Recipe.restore("1:3", DEPTH).to_mergekit("org/a", "org/b", base_revision="r1", tuned_revision="r2")
    models = [source["model"] for part in yaml.safe_load(named)["slices"] for source in part["sources"]]
    assert {str(reference_of(model)) for model in models} == {"org/a@r1", "org/b@r2"}

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText

from slr_probe import ModelPair, Recipe, restore, restored
from slr_probe.errors import CheckpointError, IncompatiblePairError, LayerRangeError, RecipeError
from tests.tiny import (
    DEPTH,
    FAMILIES,
    VOCAB,
    Pair,
    edit_json,
    load,
    logits,
    make_model,
    randomise,
    rewrite_tensor,
    write_checkpoint,
)
from tests.tiny_tokenizer import make_tokenizer

LLAVA = {
    "text_config": {"model_type": "llama", **FAMILIES["llama_tied"].config, "tie_word_embeddings": False},
    "vision_config": {"model_type": "clip_vision_model", **FAMILIES["gemma3"].config["vision_config"]},
}
NORM = "model.layers.2.input_layernorm.weight"


def open_pair(pair: Pair, **options: Any) -> ModelPair:
    return ModelPair.load(*pair.folders, device="cpu", **options)


def test_loading_a_pair_reads_no_weights(
    family: str, pair_of: Callable[[str], Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither through transformers nor through our own reader."""
    shared = pair_of(family)

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a weight was read")

    for where in (
        "transformers.modeling_utils.safe_open",
        "slr_probe.checkpoint.shard.read_into",
        "slr_probe.checkpoint.folder.read_tensor",
        "slr_probe.checkpoint.adapter.read_tensor",
    ):
        monkeypatch.setattr(where, refuse)
    pair = open_pair(shared)
    assert pair.depth == DEPTH
    assert pair.notes == ()
    assert repr(pair)
    assert pair.render("Hi")
    assert pair.recipe("1:2") == Recipe.restore("1:2", DEPTH)
    with pytest.raises(CheckpointError, match="AssertionError: a weight was read"):
        _ = pair.tuned


@pytest.mark.parametrize("side", ["base", "tuned"])
def test_models_are_those_of_the_folders(side: str, family: str, pair_of: Callable[[str], Pair]) -> None:
    shared = pair_of(family)
    model = getattr(open_pair(shared), side)
    expected = load(getattr(shared, side))
    assert type(model) is type(expected)
    assert not model.training
    torch.testing.assert_close(logits(model), logits(expected), rtol=0, atol=0)


def test_models_are_loaded_once(pair_of: Callable[[str], Pair]) -> None:
    pair = open_pair(pair_of("llama"))
    assert pair.base is pair.base
    assert pair.tuned is pair.tuned
    assert pair.decoder.blocks is pair.tuned.model.layers


def test_what_a_pair_says_of_itself(pair_of: Callable[[str], Pair]) -> None:
    pair, tied = open_pair(pair_of("llama")), open_pair(pair_of("llama_tied"))
    assert (pair.tied, tied.tied) == (False, True)
    assert pair.config.model_type == "llama"
    assert not pair.has_adapter
    text = repr(pair)
    assert all(str(folder) in text for folder in pair_of("llama").folders)
    assert f"{DEPTH} decoder blocks" in text


def test_a_recipe_is_checked_for_the_depth(pair_of: Callable[[str], Pair]) -> None:
    pair = open_pair(pair_of("llama"))
    with pytest.raises(LayerRangeError, match="out of bounds"):
        pair.recipe("0:5")
    with pytest.raises(LayerRangeError, match="empty"):
        pair.recipe("1:1")
    with pytest.raises(RecipeError, match="depth=4"):
        pair.recipe(Recipe.tuned(5))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("side", ["base", "tuned"])
def test_a_weight_that_is_not_finite_is_named(value: float, side: str, own_pair: Callable[..., Pair]) -> None:
    damaged = own_pair()

    def spoil(tensor: torch.Tensor) -> torch.Tensor:
        tensor[3] = value
        return tensor

    rewrite_tensor(getattr(damaged, side), NORM, spoil)
    pair = open_pair(damaged)
    with pytest.raises(CheckpointError, match=rf"{side} \(.*\): tensor '{NORM}' has NaN or infinite weights"):
        getattr(pair, side)
    assert getattr(pair, "tuned" if side == "base" else "base") is not None


def test_large_finite_weights_are_accepted(own_pair: Callable[..., Pair]) -> None:
    """Their sum overflows; each of them is finite."""
    damaged = own_pair()
    rewrite_tensor(damaged.tuned, NORM, lambda tensor: torch.full_like(tensor, 3e38))
    assert open_pair(damaged).tuned is not None


def drop_tensor(folder: Path, name: str) -> None:
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    file = index["weight_map"].pop(name)
    path.write_text(json.dumps(index))
    save_file({key: value for key, value in load_file(folder / file).items() if key != name}, folder / file)


@pytest.mark.parametrize("side", ["base", "tuned"])
def test_a_block_tensor_that_one_side_lacks_is_named(side: str, own_pair: Callable[..., Pair]) -> None:
    damaged = own_pair()
    drop_tensor(getattr(damaged, side), NORM)
    other = {"base": "tuned", "tuned": "base"}[side]
    with pytest.raises(IncompatiblePairError, match=rf"'{NORM}' of {other} is not in {side}"):
        open_pair(damaged)


def test_a_tensor_that_both_sides_lack_is_named_before_weights_are_read(own_pair: Callable[..., Pair]) -> None:
    damaged = own_pair()
    for folder in damaged.folders:
        drop_tensor(folder, NORM)
    with pytest.raises(CheckpointError, match=rf"lacks 1 tensor\(s\) that its model needs, first '{NORM}'"):
        open_pair(damaged)


def test_a_tensor_of_another_shape_is_named(own_pair: Callable[..., Pair]) -> None:
    damaged = own_pair()
    rewrite_tensor(damaged.tuned, NORM, lambda tensor: tensor[:-1])
    with pytest.raises(IncompatiblePairError, match=rf"'{NORM}' is \[32\] in base and \[31\] in tuned"):
        open_pair(damaged)


def test_loaded_models(pair_of: Callable[[str], Pair]) -> None:
    shared = pair_of("llama")
    base, tuned = load(shared.base), load(shared.tuned).train()
    pair = ModelPair.load(base, tuned, tokenizer=make_tokenizer())
    assert pair.base is base
    assert pair.tuned is tuned
    assert not tuned.training
    assert "in memory" in repr(pair)
    assert pair.render("Hi").count(1) == 1
    with restored(pair, "1:3") as hybrid, restored(open_pair(shared), "1:3") as expected:
        torch.testing.assert_close(logits(hybrid), logits(expected), rtol=0, atol=0)


@pytest.mark.parametrize("family", ["mixtral", "gemma3", "qwen3_5", "gpt2"], indirect=True)
def test_a_folder_beside_a_loaded_model(family: str, pair_of: Callable[[str], Pair]) -> None:
    """Names in a file and in a model differ: experts are fused, nested decoders are elsewhere."""
    shared = pair_of(family)
    for base, tuned in [(load(shared.base), shared.tuned), (shared.base, load(shared.tuned))]:
        pair = ModelPair.load(base, tuned, device="cpu")
        with restored(pair, "1:3") as hybrid, restored(open_pair(shared), "1:3") as expected:
            torch.testing.assert_close(logits(hybrid), logits(expected), rtol=0, atol=0)


def test_a_loaded_model_of_another_shape_is_refused(pair_of: Callable[[str], Pair]) -> None:
    with pytest.raises(IncompatiblePairError, match="hidden_size: base 32, tuned 64"):
        ModelPair.load(pair_of("llama").base, make_model("llama", 1, hidden_size=64))


def test_things_that_are_no_model_are_refused(pair_of: Callable[[str], Pair]) -> None:
    for thing in (3, None, nn.Linear(2, 2), {"a": 1}):
        with pytest.raises(IncompatiblePairError, match=f"got {type(thing).__name__}"):
            ModelPair.load(pair_of("llama").base, thing)


def test_dtype_and_device(pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    shared = pair_of("llama")
    for dtype in ("bfloat16", torch.bfloat16):
        pair = open_pair(shared, dtype=dtype)
        assert pair.base.dtype == pair.tuned.dtype == torch.bfloat16
    half = write_checkpoint(tmp_path / "half", "llama", seed=2, dtype=torch.float16)
    assert ModelPair.load(half, half, device="cpu").tuned.dtype == torch.float16
    for dtype in ("int8", "float31", "nn"):
        with pytest.raises(IncompatiblePairError, match=f"dtype '{dtype}'; expected float32"):
            open_pair(shared, dtype=dtype)
    with pytest.raises(IncompatiblePairError, match=r"dtype torch.int8; expected float32"):
        open_pair(shared, dtype=torch.int8)
    with pytest.raises(IncompatiblePairError, match="device"):
        ModelPair.load(*shared.folders, device="nonesuch")
    if not torch.cuda.is_available():
        with pytest.raises(IncompatiblePairError, match=r"device='cuda:1' was asked for, but torch sees no CUDA"):
            ModelPair.load(*shared.folders, device="cuda:1")


def test_a_loaded_model_is_not_moved_behind_its_owners_back(pair_of: Callable[[str], Pair]) -> None:
    shared = pair_of("llama")
    with pytest.raises(IncompatiblePairError, match="device"):
        ModelPair.load(load(shared.base), shared.tuned, device="meta")


def test_vocabularies_of_different_size(pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    """Tuned may have more rows: its own are kept, blocks are restored as ever, and a soup of embeddings is refused."""
    tuned = write_checkpoint(tmp_path / "tuned", "llama", seed=2, vocab_size=VOCAB + 8)
    pair = ModelPair.load(pair_of("llama").base, tuned, device="cpu")
    assert any("vocab_size: base 128, tuned 136" in note for note in pair.notes)
    assert any(
        "'model.embed_tokens.weight' is [128, 32] in base and [136, 32] in tuned; it can only come from tuned" in note
        for note in pair.notes
    )
    with restored(pair, Recipe.base(DEPTH)) as hybrid:
        assert hybrid.get_input_embeddings().weight.shape == (VOCAB + 8, 32)
    for recipe in (Recipe.soup(0.5, DEPTH), Recipe.base(DEPTH, blocks_only=False)):
        with pytest.raises(RecipeError, match=r"\[128, 32\], but tuned has \[136, 32\]"), restored(pair, recipe):
            pass


def test_remote_code_is_never_run_unasked(own_pair: Callable[..., Pair], tmp_path: Path) -> None:
    pair = own_pair()
    for folder in pair.folders:
        edit_json(folder / "config.json", model_type="mystery", auto_map={"AutoConfig": "evil.EvilConfig"})
        (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    with pytest.raises(IncompatiblePairError, match="trust_remote_code"):
        open_pair(pair)
    assert not (tmp_path / "ran").exists()


def test_models_that_are_no_causal_language_model_to_transformers(tmp_path: Path) -> None:
    """LLaVA: restored on disk as any other; in memory once its own class has loaded it."""
    config = AutoConfig.for_model("llava", **LLAVA)
    for seed, side in enumerate(("base", "tuned")):
        randomise(AutoModelForImageTextToText.from_config(config), seed).save_pretrained(tmp_path / side)
    pair = ModelPair.load(tmp_path / "base", tmp_path / "tuned", device="cpu")
    with pytest.raises(CheckpointError, match=r"cannot load .*tuned as a causal language model; .*give them to"):
        _ = pair.tuned
    out = restore(tmp_path / "base", tmp_path / "tuned", "1:3", tmp_path / "out")
    base, tuned, saved = (
        AutoModelForImageTextToText.from_pretrained(folder) for folder in (tmp_path / "base", tmp_path / "tuned", out)
    )
    with restored(ModelPair.load(base, tuned), "1:3") as hybrid:
        state = hybrid.state_dict()
        assert all(torch.equal(tensor, state[name]) for name, tensor in saved.state_dict().items())

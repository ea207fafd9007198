from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from slr_probe import ModelPair
from slr_probe.errors import CheckpointError, IncompatiblePairError, PromptError
from slr_probe.pair.notes import template_notes
from tests.checkpoint.test_adapter import train_adapter
from tests.tiny import VOCAB, Pair, edit_json, read_all, write_checkpoint
from tests.tiny_tokenizer import make_tokenizer


def test_no_tokenizer(pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    base, tuned = (write_checkpoint(tmp_path / side, "llama", seed) for seed, side in enumerate(("base", "tuned")))
    pair = ModelPair.load(base, tuned, device="cpu")
    assert pair.notes == ("no tokenizer found; prompts cannot be rendered until one is given",)
    with pytest.raises(CheckpointError, match=r"no tokenizer for .*give tokenizer="):
        pair.render("Hi")
    given = ModelPair.load(base, tuned, device="cpu", tokenizer=make_tokenizer(template=None))
    assert given.notes == ("no chat template; prompts are rendered plain",)
    assert given.render("Hi")[0] == 1


def test_a_tokenizer_of_base_alone_serves_both(pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    tuned = write_checkpoint(tmp_path / "tuned", "llama", seed=2)
    pair = ModelPair.load(pair_of("llama").base, tuned, device="cpu")
    assert pair.notes == (
        "tuned brings no tokenizer; base's is used for all prompts",
        "no chat template; prompts are rendered plain",
    )
    assert pair.render("Hi")[0] == 1


def test_a_tokenizer_that_decodes_by_a_regular_expression_is_refused(own_pair: Callable[..., Pair]) -> None:
    pair = own_pair()
    decoder = {"type": "Replace", "pattern": {"Regex": "(a|aa)+b"}, "content": "x"}
    edit_json(pair.tuned / "tokenizer.json", decoder=decoder)
    with pytest.raises(CheckpointError, match="refused: its decoder holds a regular expression"):
        ModelPair.load(*pair.folders, device="cpu")
    edit_json(pair.tuned / "tokenizer.json", decoder={**decoder, "pattern": {"String": "(a|aa)+b"}})
    ModelPair.load(*pair.folders, device="cpu")


def test_tokenizers_that_disagree_are_refused(own_pair: Callable[..., Pair]) -> None:
    pair = own_pair()
    make_tokenizer(extra=("<a>", "<b>")).save_pretrained(pair.base)
    make_tokenizer(extra=("<b>", "<a>")).save_pretrained(pair.tuned)
    with pytest.raises(PromptError, match="tokenizers disagree"):
        ModelPair.load(*pair.folders, device="cpu")


def test_a_tokenizer_larger_than_the_embedding_is_a_note(own_pair: Callable[..., Pair]) -> None:
    """Gemma 3 1B: an image token that the text model has no row for."""
    pair = own_pair()
    extra = tuple(f"<extra{i}>" for i in range(VOCAB))
    for folder in pair.folders:
        make_tokenizer(extra=extra).save_pretrained(folder)
    opened = ModelPair.load(*pair.folders, device="cpu")
    assert any(f"the tuned embedding only {VOCAB} rows" in note for note in opened.notes)
    assert opened.render("Hi <extra0>")
    with pytest.raises(PromptError, match=f"embedding has only {VOCAB} rows"):
        opened.render(f"Hi <extra{VOCAB - 1}>")


def test_a_damaged_tokenizer_is_refused(own_pair: Callable[..., Pair]) -> None:
    pair = own_pair()
    (pair.tuned / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"tokenizer in .* cannot be loaded"):
        ModelPair.load(*pair.folders, device="cpu")


def test_adapter_files_beside_a_whole_model_are_not_applied(own_pair: Callable[..., Pair], tmp_path: Path) -> None:
    """transformers would apply them once more; on disk the weights are those of the model's own files."""
    pair = own_pair("qwen3")
    train_adapter(pair.base, tmp_path / "adapter")
    for file in (tmp_path / "adapter").glob("adapter_*"):
        shutil.copy(file, pair.tuned)
    state = ModelPair.load(*pair.folders, device="cpu").tuned.state_dict()
    for name, tensor in read_all(pair.tuned).items():
        assert torch.equal(state[name], tensor), name


def test_a_tokenizer_that_the_library_cannot_read_is_named(own_pair: Callable[..., Pair]) -> None:
    pair = own_pair()
    edit_json(pair.tuned / "tokenizer.json", model={"type": "FutureModel", "vocab": {}})
    with pytest.raises(CheckpointError, match=r"the tokenizer in .*tuned cannot be loaded"):
        ModelPair.load(*pair.folders)


def test_a_package_that_transformers_needs_is_named(own_pair: Callable[..., Pair]) -> None:
    pair = own_pair()
    for folder in pair.folders:
        edit_json(folder / "config.json", quantization_config={"quant_method": "gptq", "bits": 4, "group_size": 32})
    with pytest.raises(CheckpointError, match=r"ImportError: .*optimum"):
        _ = ModelPair.load(*pair.folders).tuned


@pytest.mark.parametrize("device", ["cuda:99", "meta", "mps", "xpu", "hpu", "vulkan", "nowhere", "cpu:x", -3, 2.5, ""])
def test_a_device_that_is_not_there_is_one_error(pair_of: Callable[[str], Pair], device: Any) -> None:
    with pytest.raises(IncompatiblePairError, match="device"):
        ModelPair.load(*pair_of("llama").folders, device=device)


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "int8", "float", "bool", "nn", "", 16, "complex64", "__class__"])
def test_a_dtype_that_nothing_is_computed_in_is_refused(pair_of: Callable[[str], Pair], dtype: Any) -> None:
    if dtype == "float":  # torch's other name of float32
        assert ModelPair.load(*pair_of("llama").folders, device="cpu", dtype=dtype).dtype is not None
        return
    with pytest.raises(IncompatiblePairError, match="expected float32, bfloat16 or float16"):
        ModelPair.load(*pair_of("llama").folders, device="cpu", dtype=dtype)


def test_a_template_on_base_alone_asks_whether_the_two_are_swapped():
    with_template, without = copy.deepcopy(make_tokenizer()), copy.deepcopy(make_tokenizer())
    without.chat_template = None
    question = "base has a chat template and tuned has none: are the two swapped?"
    assert template_notes(without, with_template, without)[1:] == (question,)
    assert question not in template_notes(with_template, without, with_template)
    assert question not in template_notes(without, without, without)

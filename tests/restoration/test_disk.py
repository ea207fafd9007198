from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoTokenizer, GenerationConfig

from slr_probe import LayerRange, Recipe, restore, verify_hybrid
from slr_probe.checkpoint import Checkpoint
from slr_probe.errors import OutputError
from tests.architectures import block_in_file
from tests.tiny import DEPTH, Pair, load, logits, read_all, snapshot, write_checkpoint


@pytest.fixture
def llama(pair_of: Callable[[str], Pair]) -> Pair:
    return pair_of("llama")


def touched_shards(pair: Pair, blocks: set[int]) -> tuple[set[str], set[str]]:
    """Names of the tuned shards with and without tensors of these blocks."""
    shards = Checkpoint.open(pair.tuned).shards
    touched = {s.path.name for s in shards if any(block_in_file(t.name, pair.family) in blocks for t in s.tensors)}
    return touched, {s.path.name for s in shards} - touched


@pytest.mark.parametrize("family", ["llama", "llama_tied", "gpt2", "gemma3", "qwen3_moe"], indirect=True)
def test_the_folder_is_complete(family: str, pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    pair = pair_of(family)
    out = restore(*pair.folders, "1:3", tmp_path / "out")
    assert out == tmp_path / "out"
    assert {p.name for p in out.iterdir()} == {p.name for p in pair.tuned.iterdir()} | {"README.md", "recipe.json"}
    for file in ("config.json", "generation_config.json", "tokenizer.json", "chat_template.jinja"):
        if (pair.tuned / file).exists():
            assert (out / file).read_bytes() == (pair.tuned / file).read_bytes()
    for shard in Checkpoint.open(out).shards:
        original = (pair.tuned / shard.path.name).read_bytes()
        assert shard.path.read_bytes()[: shard.header_size] == original[: shard.header_size]
    assert AutoConfig.from_pretrained(out).to_json_string() == AutoConfig.from_pretrained(pair.tuned).to_json_string()
    assert AutoTokenizer.from_pretrained(out).chat_template == AutoTokenizer.from_pretrained(pair.tuned).chat_template
    assert GenerationConfig.from_pretrained(out) == GenerationConfig.from_pretrained(pair.tuned)
    assert torch.isfinite(logits(load(out))).all()


def test_the_record_and_the_card(llama: Pair, tmp_path: Path) -> None:
    recipe = Recipe.restore("1:3", DEPTH)
    out = restore(*llama.folders, recipe, tmp_path / "out")
    record = json.loads((out / "recipe.json").read_text())
    assert Recipe.from_dict(record["recipe"]) == recipe
    for side in ("base", "tuned"):
        folder = getattr(llama, side)
        assert record[side] == {
            "source": str(folder),
            "path": str(folder),
            "fingerprint": Checkpoint.open(folder).fingerprint(),
        }
    card = (out / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: transformers\n")
    for words in ("restore 1:3 of 4", "`base`", "`tuned`", "| blocks 1:3 | base |", "2602.06665"):
        assert words in card
    assert str(llama.base.parent) not in card
    assert "base_model" not in card  # a folder of this machine has no name on the hub


def test_public_names_of_local_folders(llama: Pair, tmp_path: Path) -> None:
    out = restore(*llama.folders, "1:3", tmp_path / "out", base_id="org/base", tuned_id="org/chat@v2")
    record, card = json.loads((out / "recipe.json").read_text()), (out / "README.md").read_text()
    assert [record[side]["source"] for side in ("base", "tuned")] == ["org/base", "org/chat@v2"]
    assert 'base_model: ["org/base", "org/chat"]\nbase_model_relation: merge\n' in card
    assert "`org/chat@v2` (tuned" in card
    assert verify_hybrid(out).ok


def test_what_belongs_to_the_training_of_tuned_is_left_out(own_pair: Callable[..., Pair], tmp_path: Path) -> None:
    pair = own_pair()
    kept = {"LICENSE": "l", "NOTICE.txt": "n", "vocab.txt": "v", "modeling_x.py": "m", "processor_config.json": "{}"}
    dropped = (
        "optimizer.pt",
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
        "trainer_state.json",
        "README.md",
        "recipe.json",
        "adapter_config.json",
        "consolidated.safetensors",
        "events.log",
        ".gitattributes",
    )
    for name in (*kept, *dropped):
        (pair.tuned / name).write_text(kept.get(name, "dropped"))
    (pair.tuned / "runs").mkdir()
    (pair.tuned / "additional_chat_templates").mkdir()
    (pair.tuned / "additional_chat_templates" / "tool.jinja").write_text("t")
    out = restore(*pair.folders, "1:2", tmp_path / "out")
    for name, text in kept.items():
        assert (out / name).read_text() == text
    for name in dropped:
        assert not (out / name).exists() or (out / name).read_text() != "dropped", name
    assert not (out / "runs").exists()
    assert (out / "additional_chat_templates" / "tool.jinja").read_text() == "t"


def test_every_way_to_name_the_range(llama: Pair, tmp_path: Path) -> None:
    one, two, three = (
        restore(*map(kind, llama.folders), recipe, kind(tmp_path / str(i)))
        for i, (recipe, kind) in enumerate(
            [("1:3", str), (LayerRange(1, 3), Path), (Recipe.restore([1, 2], DEPTH), str)]
        )
    )
    assert one.name == "0"
    for other in (two, three):
        for file in one.glob("*.safetensors"):
            assert file.read_bytes() == (other / file.name).read_bytes()


@pytest.mark.parametrize("untouched", ["auto", "copy", "hardlink"])
def test_untouched_shards(untouched: Any, llama: Pair, tmp_path: Path) -> None:
    before = [snapshot(folder) for folder in llama.folders]
    touched, others = touched_shards(llama, {0})
    assert touched
    assert others
    out = restore(*llama.folders, "0:1", tmp_path / "out", untouched=untouched)
    for name in others:
        assert (out / name).read_bytes() == (llama.tuned / name).read_bytes()
        assert os.path.samefile(out / name, llama.tuned / name) == (untouched == "hardlink")
    for name in touched:
        assert not os.path.samefile(out / name, llama.tuned / name)
        assert (out / name).read_bytes() != (llama.tuned / name).read_bytes()
        assert (out / name).stat().st_nlink == 1
    assert verify_hybrid(out).ok
    shutil.rmtree(out)
    assert [snapshot(folder) for folder in llama.folders] == before


def test_linked_shards_are_never_written_into(llama: Pair, tmp_path: Path) -> None:
    """A hybrid of a hard-linked hybrid: its sources stay as they are, whatever is built on top."""
    before = [snapshot(folder) for folder in llama.folders]
    first = restore(*llama.folders, "0:1", tmp_path / "first", untouched="hardlink")
    kept = snapshot(first)
    restore(llama.base, first, "0:4", tmp_path / "second", untouched="hardlink")
    restore(llama.base, first, Recipe.soup(0.5, DEPTH), tmp_path / "third")
    assert snapshot(first) == kept
    assert [snapshot(folder) for folder in llama.folders] == before
    expected = read_all(restore(*llama.folders, "0:4", tmp_path / "fourth"))
    assert all(torch.equal(tensor, expected[name]) for name, tensor in read_all(tmp_path / "second").items())


def test_hard_links_need_one_file_system(llama: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(OutputError, match=r"cannot hard-link .*Invalid cross-device link; use untouched='copy'"):
        restore(*llama.folders, "0:1", tmp_path / "out", untouched="hardlink")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="untouched='softlink' is unknown"):
        restore(*llama.folders, "0:1", tmp_path / "out", untouched="softlink")


@pytest.mark.parametrize("chunk", [248, 4096])
@pytest.mark.parametrize("recipe", [Recipe.soup(0.3, DEPTH), Recipe.restore("1:3", DEPTH)], ids=["soup", "range"])
def test_the_result_does_not_depend_on_the_chunk_size(
    chunk: int, recipe: Recipe, pair_of: Callable[[str], Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = write_checkpoint(tmp_path / "half", "llama", seed=3, dtype=torch.bfloat16)
    for i, (base, tuned) in enumerate([pair_of("llama").folders, (half, pair_of("llama").tuned)]):
        expected = restore(base, tuned, recipe, tmp_path / f"whole{i}")
        with monkeypatch.context() as patched:
            for module in ("stream", "verify"):
                patched.setattr(f"slr_probe.restoration.{module}.CHUNK", chunk)
            pieces = restore(base, tuned, recipe, tmp_path / f"pieces{i}")
            assert verify_hybrid(pieces).ok
        for file in expected.glob("*.safetensors"):
            assert file.read_bytes() == (pieces / file.name).read_bytes()


DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64]


@pytest.mark.parametrize("base_dtype", DTYPES)
@pytest.mark.parametrize("tuned_dtype", DTYPES)
def test_base_and_tuned_of_any_two_dtypes(base_dtype: torch.dtype, tuned_dtype: torch.dtype, tmp_path: Path) -> None:
    base = write_checkpoint(tmp_path / "base", "llama_tied", seed=1, dtype=base_dtype)
    tuned = write_checkpoint(tmp_path / "tuned", "llama_tied", seed=2, dtype=tuned_dtype)
    out = restore(base, tuned, "1:3", tmp_path / "out")
    theirs, ours = read_all(base), read_all(tuned)
    for name, tensor in read_all(out).items():
        source = theirs if block_in_file(name, "llama_tied") in (1, 2) else ours
        assert tensor.dtype == tuned_dtype
        assert torch.equal(tensor, source[name].to(tuned_dtype)), name
    assert verify_hybrid(out).ok


def test_a_head_that_only_tuned_stores_follows_the_embedding(own_pair: Callable[..., Pair], tmp_path: Path) -> None:
    """Some tools write a tied head once more; transformers unties the two if they come to differ."""
    pair = own_pair("llama_tied")
    file = pair.tuned / "model.safetensors"
    tensors = load_file(file)
    save_file({**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"].clone()}, file, {"format": "pt"})
    for i, recipe in enumerate((Recipe.base(DEPTH, blocks_only=False), Recipe.soup(0.5, DEPTH), Recipe.base(DEPTH))):
        out = restore(*pair.folders, recipe, tmp_path / str(i))
        model = load(out)
        assert model.lm_head.weight is model.model.embed_tokens.weight
        assert verify_hybrid(out).ok
    torch.testing.assert_close(logits(load(tmp_path / "0")), logits(load(pair.base)), rtol=0, atol=0)


def test_masks_that_only_one_side_stores(own_pair: Callable[..., Pair], tmp_path: Path) -> None:
    """GPT-2 from the hub: no prefix, and masks beside the weights; tuned was saved anew."""
    pair = own_pair("gpt2")
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in read_all(pair.base).items()}
    masks = {f"h.{i}.attn.bias": torch.ones(1, 1, 64, 64).tril() for i in range(DEPTH)}
    shutil.rmtree(pair.base)
    shutil.copytree(pair.tuned, pair.base, ignore=shutil.ignore_patterns("model*"))
    save_file({**tensors, **masks}, pair.base / "model.safetensors", {"format": "pt"})
    for i, folders in enumerate((pair.folders, reversed(pair.folders))):
        out = restore(*folders, "1:3", tmp_path / str(i))
        assert verify_hybrid(out).ok
        assert torch.isfinite(logits(load(out))).all()
    block = "h.1.mlp.c_fc.weight"
    assert torch.equal(read_all(tmp_path / "0")[f"transformer.{block}"], tensors[block])


def test_out_may_be_an_empty_folder_or_a_new_one_in_new_parents(llama: Pair, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target", target_is_directory=True)
    (tmp_path / "target").mkdir()
    for name in ("empty", "a/b/c", "link", "a/../d"):
        assert verify_hybrid(restore(*llama.folders, "0:1", tmp_path / name)).ok
    assert (tmp_path / "link").is_symlink()
    assert not [p for p in tmp_path.rglob(".*")]


def test_a_home_folder_is_understood(llama: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert restore(*llama.folders, "0:1", "~/out") == tmp_path / "out"
    assert verify_hybrid("~/out").ok


WITHOUT_TORCH = """
import sys
from slr_probe import restore
restore(sys.argv[1], sys.argv[2], "1:3", sys.argv[3])
print([name for name in ("torch", "transformers", "pandas", "matplotlib") if name in sys.modules])
"""


def test_whole_blocks_are_restored_without_the_libraries_that_take_long_to_import(llama: Pair, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, llama.folders), str(tmp_path / "out")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from slr_probe import Recipe, restore, verify_hybrid
from slr_probe.checkpoint import Checkpoint
from slr_probe.errors import CheckpointError, IncompatiblePairError, RecipeError
from tests.tiny import DEPTH, Pair, edit_json, read_all, rewrite_tensor, snapshot

RESTORED, KEPT = "model.layers.1.mlp.up_proj.weight", "model.layers.3.mlp.up_proj.weight"
INDEX = "model.safetensors.index.json"


@pytest.fixture
def hybrid(pair_of: Callable[[str], Pair], tmp_path: Path) -> Path:
    """Blocks 1 and 2 of llama restored, mlp of block 0 mixed."""
    pair = pair_of("llama")
    soup = Recipe.soup(0.5, DEPTH).blocks[0]
    recipe = Recipe((soup, *Recipe.restore("1:3", DEPTH).blocks[1:]))
    return restore(*pair.folders, recipe, tmp_path / "hybrid")


def test_a_faithful_hybrid(hybrid: Path, pair_of: Callable[[str], Pair]) -> None:
    before = [snapshot(folder) for folder in (hybrid, *pair_of("llama").folders)]
    report = verify_hybrid(hybrid)
    assert report.ok
    assert report.problems == ()
    assert report.folder == hybrid
    assert report.recipe.restored_blocks == (0, 1, 2)
    per_block = sum(name.startswith("model.layers.1.") for name in read_all(hybrid))
    assert report.counts == {"base": 2 * per_block, "mixed": per_block, "tuned": per_block + 3}
    assert repr(report) == str(report)
    assert str(report).endswith(": all equal")
    assert f"{4 * per_block + 3} tensors compared bit for bit" in str(report)
    assert [snapshot(folder) for folder in (hybrid, *pair_of("llama").folders)] == before


@pytest.mark.parametrize("name", [RESTORED, KEPT, "model.layers.0.mlp.up_proj.weight", "lm_head.weight"])
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_one_flipped_bit_is_found(name: str, place: str, hybrid: Path) -> None:
    info = Checkpoint.open(hybrid).tensors[name]
    offset = {"first": info.start, "middle": (info.start + info.stop) // 2, "last": info.stop - 1}[place]
    data = bytearray(info.path.read_bytes())
    data[offset] ^= 1
    info.path.write_bytes(data)
    report = verify_hybrid(hybrid)
    assert not report.ok
    assert len(report.problems) == 1
    assert report.problems[0].startswith(f"'{name}' differs from ")
    assert "1 PROBLEM(S)" in str(report)


def test_a_tensor_of_the_wrong_source_is_found(hybrid: Path, pair_of: Callable[[str], Pair]) -> None:
    base, tuned = (read_all(folder) for folder in pair_of("llama").folders)
    rewrite_tensor(hybrid, RESTORED, lambda tensor: tuned[RESTORED])
    rewrite_tensor(hybrid, KEPT, lambda tensor: base[KEPT])
    assert set(verify_hybrid(hybrid).problems) == {f"'{RESTORED}' differs from base", f"'{KEPT}' differs from tuned"}


def test_another_dtype_or_shape_is_found(hybrid: Path) -> None:
    rewrite_tensor(hybrid, RESTORED, lambda tensor: tensor.bfloat16())
    rewrite_tensor(hybrid, KEPT, lambda tensor: tensor[:-1])
    assert set(verify_hybrid(hybrid).problems) == {
        f"'{RESTORED}' is BF16 [48, 32], not F32 [48, 32]",
        f"'{KEPT}' is F32 [47, 32], not F32 [48, 32]",
    }


def edit_shard(folder: Path, shard: str, index: dict[str, str], tensors: dict[str, torch.Tensor]) -> None:
    save_file(tensors, folder / shard, {"format": "pt"})
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": index}))


def test_missing_and_extra_tensors_are_found(hybrid: Path) -> None:
    index = json.loads((hybrid / INDEX).read_text())["weight_map"]
    shard = index.pop(KEPT)
    tensors = load_file(hybrid / shard)
    del tensors[KEPT]
    edit_shard(hybrid, shard, {**index, "extra.weight": shard}, {**tensors, "extra.weight": torch.zeros(3)})
    assert verify_hybrid(hybrid).problems == (
        f"{INDEX} is not tuned's",
        f"tensor '{KEPT}' is missing",
        "tensor 'extra.weight' should not be there",
    )


def test_another_config_is_found(hybrid: Path) -> None:
    edit_json(hybrid / "config.json", rms_norm_eps=0.1)
    assert verify_hybrid(hybrid).problems == ("config.json is not tuned's",)


@pytest.mark.parametrize("side", ["base", "tuned"])
def test_a_source_that_changed_is_reported(side: str, own_pair: Callable[..., Pair], tmp_path: Path) -> None:
    pair = own_pair()
    out = restore(*pair.folders, "1:3", tmp_path / "out")
    rewrite_tensor(getattr(pair, side), "model.norm.weight", lambda tensor: tensor * 1.01)
    problems = verify_hybrid(out).problems
    assert problems[0].startswith(f"{side} (")
    assert problems[0].endswith("is not the checkpoint that the hybrid was built from: its fingerprint has changed")
    assert problems[1:] == (("'model.norm.weight' differs from tuned",) if side == "tuned" else ())


def test_sources_that_moved_can_be_named(own_pair: Callable[..., Pair], tmp_path: Path) -> None:
    pair = own_pair()
    out = restore(*pair.folders, "1:3", tmp_path / "out")
    moved = [folder.rename(tmp_path / f"moved_{folder.name}") for folder in pair.folders]
    with pytest.raises(CheckpointError, match=r"is not here; say where it is now: .*--base"):
        verify_hybrid(out)
    assert verify_hybrid(out, base=moved[0], tuned=moved[1]).ok
    swapped = verify_hybrid(out, base=moved[1], tuned=moved[0])
    assert len(swapped.problems) > 8
    assert "... and " in str(swapped)


def test_a_relative_source_is_found_from_anywhere(
    own_pair: Callable[..., Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_pair()
    monkeypatch.chdir(tmp_path)
    out = restore("base", "tuned", "1:3", "out")
    assert out == Path("out")
    monkeypatch.chdir(tmp_path.parent)
    assert verify_hybrid(tmp_path / "out").ok


def test_sources_of_another_shape_are_refused(hybrid: Path, pair_of: Callable[[str], Pair]) -> None:
    with pytest.raises(IncompatiblePairError):
        verify_hybrid(hybrid, base=pair_of("gpt2").base)


def test_a_damaged_hybrid_is_refused(hybrid: Path) -> None:
    shard = sorted(hybrid.glob("*.safetensors"))[0]
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=f"{shard.name} is truncated"):
        verify_hybrid(hybrid)


def test_folders_that_are_no_hybrid(hybrid: Path, pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    for folder in (pair_of("llama").tuned, tmp_path / "none"):
        with pytest.raises(
            CheckpointError, match=r"has no recipe\.json; expected a folder that slr-probe restore wrote"
        ):
            verify_hybrid(folder)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("[]", CheckpointError),
        ("{", CheckpointError),
        ({"format": "other"}, CheckpointError),
        ({"base": None}, CheckpointError),
        ({"tuned": {"path": "x"}}, CheckpointError),
        ({"recipe": {}}, RecipeError),
        ({"recipe": Recipe.tuned(3).to_dict()}, RecipeError),
    ],
    ids=str,
)
def test_a_damaged_record_is_refused(change: Any, error: type[Exception], hybrid: Path) -> None:
    record = json.loads((hybrid / "recipe.json").read_text())
    (hybrid / "recipe.json").write_text(change if isinstance(change, str) else json.dumps({**record, **change}))
    with pytest.raises(error):
        verify_hybrid(hybrid)


def test_another_recipe_in_the_record_is_found(hybrid: Path) -> None:
    record = json.loads((hybrid / "recipe.json").read_text())
    record["recipe"] = Recipe.restore("1:2", DEPTH).to_dict()
    (hybrid / "recipe.json").write_text(json.dumps(record))
    edited, *problems = verify_hybrid(hybrid).problems
    assert edited == "recipe.json was edited: its digest does not fit"
    assert {problem.split(".")[2] for problem in problems} == {"0", "2"}
    assert all(problem.endswith("differs from tuned") for problem in problems)


def test_a_copied_hybrid_verifies(hybrid: Path, tmp_path: Path) -> None:
    assert verify_hybrid(shutil.copytree(hybrid, tmp_path / "copy")).ok


def rewrite(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def truncate(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("change", [rewrite, truncate, Path.unlink])
def test_every_file_that_was_written_is_looked_at(
    change: Callable[[Path], None], own_pair: Callable[..., Pair], tmp_path: Path
) -> None:
    pair = own_pair()
    texts = ["tokenizer.json", "chat_template.jinja", "generation_config.json", "LICENSE", "modeling_own.py"]
    for name in texts:
        (pair.tuned / name).write_text("{}")
    (pair.tuned / "additional_chat_templates").mkdir()
    (pair.tuned / "additional_chat_templates" / "tool.jinja").write_text("t")
    out = restore(*pair.folders, "1:3", tmp_path / "out")
    assert verify_hybrid(out).ok
    for name in [*texts, "additional_chat_templates/tool.jinja", "README.md"]:
        kept = (out / name).read_bytes()
        change(out / name)
        assert [problem.split(" ")[0] for problem in verify_hybrid(out).problems] == [name]
        (out / name).write_bytes(kept)
    assert verify_hybrid(out).ok


@pytest.mark.parametrize(
    "name",
    [
        "adapter_config.json",
        "adapter_model.safetensors",
        "pytorch_model.bin",
        "modeling_own.py",
        "model.gguf",
        "tokenizer.model",
        "vocab.json",
        "original/consolidated.00.pth",
        "consolidated.safetensors",
    ],
)
def test_files_that_a_loader_would_pick_up_should_not_be_there(name: str, hybrid: Path) -> None:
    (hybrid / name).parent.mkdir(exist_ok=True)
    (hybrid / name).write_bytes(b"")
    assert verify_hybrid(hybrid).problems == (f"{name} should not be there",)


def test_what_no_loader_reads_may_lie_beside(hybrid: Path) -> None:
    for name in (".gitattributes", "notes.md", "curve.png", ".cache/x.json"):
        (hybrid / name).parent.mkdir(exist_ok=True)
        (hybrid / name).touch()
    assert verify_hybrid(hybrid).ok


@pytest.mark.parametrize("key", ["notes", "slr_probe", "files", "base", "recipe"])
def test_an_edited_record_is_found(key: str, hybrid: Path) -> None:
    record = json.loads((hybrid / "recipe.json").read_text())
    changes = {
        "notes": [*record["notes"], "all is well"],
        "slr_probe": "9.9",
        "files": {**record["files"], "more.json": "0"},
        "base": {**record["base"], "source": "somebody/else"},
        "recipe": {**record["recipe"], "name": "the whole of base"},
    }
    edit_json(hybrid / "recipe.json", **{key: changes[key]})
    assert "recipe.json was edited: its digest does not fit" in verify_hybrid(hybrid).problems


def test_a_file_of_tuned_that_changed_since_is_reported(own_pair: Callable[..., Pair], tmp_path: Path) -> None:
    pair = own_pair()
    (pair.tuned / "tokenizer.json").write_text("{}")
    out = restore(*pair.folders, "1:3", tmp_path / "out")
    (pair.tuned / "tokenizer.json").write_text("{} ")
    assert verify_hybrid(out).problems == ("tokenizer.json is as it was written, but tuned's has changed",)


def test_other_metadata_and_tensors_in_another_shard_are_found(hybrid: Path) -> None:
    shards = sorted(hybrid.glob("*.safetensors"))
    first, second = (load_file(shard) for shard in shards[:2])
    name = next(iter(first))
    save_file({**second, name: first.pop(name)}, shards[1], {"format": "pt"})
    save_file(first, shards[0], {"format": "tf"})
    index = json.loads((hybrid / INDEX).read_text())
    index["weight_map"][name] = shards[1].name
    (hybrid / INDEX).write_text(json.dumps(index))
    assert verify_hybrid(hybrid).problems == (
        f"{INDEX} is not tuned's",
        f"{shards[0].name} has other metadata than tuned's",
        f"tensor '{name}' is in {shards[1].name}, not {shards[0].name}",
    )

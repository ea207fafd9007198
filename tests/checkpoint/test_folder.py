from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from slr_probe import weight_delta
from slr_probe.checkpoint import Checkpoint
from slr_probe.checkpoint.folder import INDEX, SINGLE
from slr_probe.errors import CheckpointError
from tests.tiny import Pair, edit_json, read_all, rewrite_tensor

TENSOR = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture
def folder(pair_of: Callable[[str], Pair], tmp_path: Path) -> Path:
    """A sharded llama checkpoint that the test may damage."""
    return Path(shutil.copytree(pair_of("llama").base, tmp_path / "checkpoint"))


def index_of(folder: Path) -> dict[str, str]:
    return json.loads((folder / INDEX).read_text())["weight_map"]


def write_index(folder: Path, weight_map: Any) -> None:
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def test_every_tensor_equals_safetensors_own_reader(family: str, pair_of: Callable[[str], Pair]) -> None:
    path = pair_of(family).base
    expected = read_all(path)
    checkpoint = Checkpoint.open(path)
    assert checkpoint.tensors.keys() == expected.keys()
    assert checkpoint.nbytes == sum(tensor.nbytes for tensor in expected.values())
    for name, tensor in expected.items():
        assert checkpoint.is_stored(name)
        assert torch.equal(checkpoint.read(name), tensor)


def test_one_file_and_several(pair_of: Callable[[str], Pair]) -> None:
    assert [shard.path.name for shard in Checkpoint.open(pair_of("mistral").base).shards] == [SINGLE]
    several = Checkpoint.open(pair_of("llama").base)
    assert len(several.shards) == len(set(index_of(several.path).values())) > 3


def test_a_tensor_that_is_not_there(folder: Path) -> None:
    checkpoint = Checkpoint.open(folder)
    assert not checkpoint.is_stored("nonesuch")
    with pytest.raises(CheckpointError, match="has no tensor 'nonesuch'"):
        checkpoint.read("nonesuch")


def test_a_truncated_shard_is_named(folder: Path) -> None:
    shard = folder / index_of(folder)[TENSOR]
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=rf"{shard.name} is truncated"):
        Checkpoint.open(folder)


def test_a_missing_shard_is_named(folder: Path) -> None:
    name = index_of(folder)[TENSOR]
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=rf"cannot read .*{name}: No such file"):
        Checkpoint.open(folder)


def test_a_tensor_that_the_index_does_not_list_is_read_all_the_same(folder: Path) -> None:
    """As transformers does, which loads all of every file."""
    whole = Checkpoint.open(folder)
    weight_map = index_of(folder)
    del weight_map[TENSOR]
    write_index(folder, weight_map)
    found = Checkpoint.open(folder)
    assert found.tensors == whole.tensors
    assert [note for note in found.index_notes if TENSOR in note and "does not list 1 tensor" in note]
    assert whole.index_notes == ()


@pytest.mark.parametrize("elsewhere", [True, False])
def test_an_index_entry_without_its_tensor_is_a_note(elsewhere: bool, folder: Path) -> None:
    weight_map = index_of(folder)
    files = sorted(set(weight_map.values()))
    if elsewhere:
        weight_map[TENSOR] = next(file for file in files if file != weight_map[TENSOR])
    else:
        weight_map["model.layers.9.ghost.weight"] = files[0]
    write_index(folder, weight_map)
    (note,) = Checkpoint.open(folder).index_notes
    assert ("in another file" if elsewhere else "that no file holds, first 'model.layers.9.ghost") in note


def test_a_tensor_in_two_files_is_named(folder: Path) -> None:
    weight_map = index_of(folder)
    file = next(folder / file for file in sorted(set(weight_map.values())) if file != weight_map[TENSOR])
    save_file({**load_file(file), TENSOR: torch.zeros(2)}, file)
    with pytest.raises(CheckpointError, match=rf"'{TENSOR}' is in two files"):
        Checkpoint.open(folder)


@pytest.mark.parametrize("target", ["../outside.safetensors", "/etc/passwd", "sub/x.safetensors", "..", "", 3, None])
def test_an_index_must_stay_in_its_folder(target: Any, folder: Path) -> None:
    save_file({"x": torch.zeros(1)}, folder.parent / "outside.safetensors")
    write_index(folder, {**index_of(folder), "x": target})
    with pytest.raises(CheckpointError, match=r"points outside its folder|no .safetensors file"):
        Checkpoint.open(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"weight_map": {}}', '{"weight_map": []}', "\udcff"])
def test_an_index_that_is_no_index(text: str, folder: Path) -> None:
    (folder / INDEX).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(
        CheckpointError, match=r"index\.json(: not JSON| is not UTF-8| must hold a JSON object| has no weight_map)"
    ):
        Checkpoint.open(folder)


def test_shards_without_their_index(folder: Path) -> None:
    (folder / INDEX).unlink()
    with pytest.raises(CheckpointError, match="the index is missing"):
        Checkpoint.open(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth", "last.ckpt"])
def test_pickles_are_refused(name: str, tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / name)
    with pytest.raises(CheckpointError, match=rf"pickled weights \({name}\).*save_pretrained"):
        Checkpoint.open(tmp_path)


def test_folders_that_hold_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no weights; expected model\.safetensors"):
        Checkpoint.open(tmp_path)
    with pytest.raises(CheckpointError, match="is not a folder"):
        Checkpoint.open(tmp_path / "none")


def test_a_single_file_beside_an_index_of_others_is_ambiguous(folder: Path) -> None:
    """transformers would read the single file and ignore the index."""
    save_file(load_file(folder / index_of(folder)[TENSOR]), folder / SINGLE)
    with pytest.raises(CheckpointError, match=r"both model\.safetensors and .*index\.json"):
        Checkpoint.open(folder)


def test_an_index_of_the_single_file_is_fine(pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(pair_of("mistral").base, tmp_path / "one"))
    write_index(folder, dict.fromkeys(read_all(folder), SINGLE))
    assert Checkpoint.open(folder).tensors.keys() == read_all(folder).keys()


def test_the_fingerprint_does_not_depend_on_place_or_time(folder: Path, tmp_path: Path) -> None:
    first = Checkpoint.open(folder).fingerprint()
    moved = Path(shutil.copytree(folder, tmp_path / "elsewhere" / "checkpoint", copy_function=shutil.copyfile))
    (moved / "README.md").write_text("other files do not matter")
    assert Checkpoint.open(moved).fingerprint() == first
    assert len(first) == 64


def test_the_fingerprint_changes_with_any_one_tensor(
    family: str, pair_of: Callable[[str], Pair], tmp_path: Path
) -> None:
    """One optimiser step moves every element a little; here only one tensor takes it."""
    original = Checkpoint.open(pair_of(family).base)
    seen = {original.fingerprint()}
    names = sorted(original.tensors)
    for name in names[:: max(1, len(names) // 6)]:
        folder = Path(shutil.copytree(pair_of(family).base, tmp_path / f"{len(seen)}"))
        rewrite_tensor(folder, name, lambda tensor: tensor * 1.001)
        seen.add(Checkpoint.open(folder).fingerprint())
    assert len(seen) == 1 + len(names[:: max(1, len(names) // 6)])


def test_the_fingerprint_sees_both_ends_of_a_large_tensor(tmp_path: Path) -> None:
    values = torch.zeros(1, 10_000)
    seen = set()
    for place in (None, 0, 9_999):
        changed = values.clone()
        if place is not None:
            changed[0, place] = 1
        save_file({"x": changed}, tmp_path / SINGLE)
        seen.add(Checkpoint.open(tmp_path).fingerprint())
    assert len(seen) == 3


FP8 = {"quant_method": "fp8", "weight_block_size": [32, 32]}


@pytest.mark.parametrize("settings", [{"quantization_config": FP8}, {"text_config": {"quantization_config": FP8}}, {}])
def test_quantised_weights_are_not_read_as_numbers(settings: dict, own_pair: Callable[..., Pair]) -> None:
    pair = own_pair("qwen3")
    for side in pair.folders:
        file = side / "model.safetensors"
        weights = load_file(file)
        if not settings:
            weights = {**weights, "model.layers.0.mlp.up_proj.weight_scale_inv": torch.ones(2, 1)}
        save_file(weights, file, metadata={"format": "pt"})
        edit_json(side / "config.json", **settings)
    checkpoint = Checkpoint.open(pair.tuned)
    assert checkpoint.quantised
    with pytest.raises(CheckpointError, match="is quantised"):
        checkpoint.read("model.norm.weight")
    if "text_config" not in settings:
        with pytest.raises(CheckpointError, match="is quantised"):
            weight_delta(*pair.folders)

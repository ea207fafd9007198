from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from huggingface_hub.utils import filter_repo_objects

from slr_probe import ModelPair, restore, verify_hybrid, weight_delta
from slr_probe.checkpoint import AdapterCheckpoint, Checkpoint, at_revision, identity, resolve, state
from slr_probe.errors import CheckpointError
from tests.checkpoint.test_adapter import train_adapter
from tests.tiny import Pair, edit_json, edit_middle, read_all, rewrite_tensor, snapshot

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hugging Face cache."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def put_into_cache(cache: Path, name: str, folder: Path, commit: str = COMMIT, ref: str | None = "main") -> Path:
    """Lay a folder out as huggingface_hub does: blobs, and a snapshot of links to them."""
    repo = cache / f"models--{name.replace('/', '--')}"
    snapshot = repo / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repo / "blobs").mkdir(exist_ok=True)
    for i, file in enumerate(sorted(folder.iterdir())):
        blob = repo / "blobs" / f"{commit[:8]}{i:032x}"
        shutil.copyfile(file, blob)
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    if ref:
        (repo / "refs").mkdir(exist_ok=True)
        (repo / "refs" / ref).write_text(commit)
    return snapshot


def test_a_hub_id_is_found_in_the_cache(cache: Path, pair_of: Callable[[str], Pair]) -> None:
    snapshot = put_into_cache(cache, "org/base", pair_of("llama").base)
    assert resolve("org/base") == snapshot
    assert resolve(f"org/base@{COMMIT}") == snapshot


def test_a_revision_is_a_branch_or_a_commit(cache: Path, pair_of: Callable[[str], Pair]) -> None:
    main = put_into_cache(cache, "org/base", pair_of("llama").base)
    step = put_into_cache(cache, "org/base", pair_of("llama").tuned, commit="f" * 40, ref="step1000")
    assert resolve("org/base") == main
    assert resolve("org/base@step1000") == resolve("org/base@" + "f" * 40) == step
    with pytest.raises(CheckpointError, match=r"org/base.*not in the local Hugging Face cache"):
        resolve("org/base@step2000")


def test_a_pair_from_the_cache(cache: Path, pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    """Linked blobs are read, never written, and hard links go to the blobs behind the links."""
    shared = pair_of("llama")
    put_into_cache(cache, "org/base", shared.base)
    tuned = put_into_cache(cache, "org/tuned-8B.v1", shared.tuned)
    before = snapshot(cache)
    assert ModelPair.load("org/base", "org/tuned-8B.v1", device="cpu").depth == 4
    out = restore("org/base", "org/tuned-8B.v1", "3:4", tmp_path / "out", untouched="hardlink")
    assert verify_hybrid(out).ok
    assert not any(path.is_symlink() for path in out.iterdir())
    linked = [path for path in out.glob("*.safetensors") if path.samefile(tuned / path.name)]
    assert linked
    expected = read_all(restore(shared.base, shared.tuned, "3:4", tmp_path / "plain"))
    assert read_all(out).keys() == expected.keys()
    assert snapshot(cache) == before


@pytest.mark.parametrize("name", ["org/none", "meta-llama/Llama-3.1-8B"])
def test_an_absent_hub_id_says_what_to_do(name: str, cache: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"{name} is no local folder .*pass download=True .*or give a local"):
        resolve(name)


def test_a_download_that_cannot_be_made_is_one_clear_error(cache: Path) -> None:
    """HF_HUB_OFFLINE stands for every kind of missing network."""
    with pytest.raises(CheckpointError, match=r"org/none.*(download failed|cannot get)"):
        resolve("org/none", download=True)


def test_an_incomplete_snapshot_is_named(cache: Path, pair_of: Callable[[str], Pair]) -> None:
    folder = put_into_cache(cache, "org/base", pair_of("llama").base)
    shard = sorted(folder.glob("*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(CheckpointError, match=rf"cannot read .*{shard.name}"):
        ModelPair.load("org/base", pair_of("llama").tuned)


@pytest.mark.parametrize("text", ["gpt2", "no such folder", "/no/such/folder", "./none", "a/../c", "org/na me", "org/"])
def test_text_that_is_neither_folder_nor_hub_id(text: str, cache: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist; expected a folder, a hub id such as org/name"):
        resolve(text)


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "org" / "name").mkdir(parents=True)
    (tmp_path / "file").write_text("x")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = tmp_path / "org" / "name"
    for source in (expected, str(expected), "org/name", "./org/../org/name", "~/org/name"):
        assert resolve(source) == expected.resolve()
    with pytest.raises(CheckpointError, match="file is a file; expected a checkpoint folder"):
        resolve("file")
    with pytest.raises(CheckpointError, match="a hub id"):
        resolve("")


def test_an_unknown_embedded_checkpoint_is_named() -> None:
    with pytest.raises(CheckpointError, match="base, sft, dpo"):
        resolve("organism:rl")


def test_weights_and_config_count_and_names_do_not(own_pair: Callable[..., Pair]) -> None:
    folder = own_pair().base
    first = identity(Checkpoint.open(folder))
    edit_json(folder / "config.json", _name_or_path="elsewhere", transformers_version="0.0")
    assert identity(Checkpoint.open(folder)) == first
    edit_json(folder / "config.json", rms_norm_eps=0.5)
    second = identity(Checkpoint.open(folder))
    edit_json(folder / "config.json", rope_parameters={"rope_type": "default", "rope_theta": 7.0})
    third = identity(Checkpoint.open(folder))
    rewrite_tensor(folder, "model.norm.weight", lambda tensor: tensor * 2)
    assert len({first, second, third, identity(Checkpoint.open(folder))}) == 4


def test_the_fingerprint_of_weights_is_what_it_was(own_pair: Callable[..., Pair]) -> None:
    folder = own_pair().base
    first = Checkpoint.open(folder).fingerprint()
    edit_json(folder / "config.json", rms_norm_eps=0.5)
    assert Checkpoint.open(folder).fingerprint() == first


def test_the_state_of_a_checkpoint_follows_its_weights_files_and_a_copy_is_another(
    own_pair: Callable[..., Pair], tmp_path: Path
) -> None:
    folder = own_pair("llama_tied").tuned
    seen = [state(Checkpoint.open(folder))]
    (folder / "README.md").write_text("another card")
    assert state(Checkpoint.open(folder)) == seen[0]
    first = identity(Checkpoint.open(folder))
    edit_middle(folder)
    assert identity(Checkpoint.open(folder)) == first  # which looks at both ends of each tensor
    seen.append(state(Checkpoint.open(folder)))
    shutil.copytree(folder, tmp_path / "copy")
    seen.append(state(Checkpoint.open(tmp_path / "copy")))
    train_adapter(folder, tmp_path / "adapter")
    seen.append(state(AdapterCheckpoint.open(tmp_path / "adapter", Checkpoint.open(folder))))
    os.utime(tmp_path / "adapter" / "adapter_model.safetensors", (1, 1))
    seen.append(state(AdapterCheckpoint.open(tmp_path / "adapter", Checkpoint.open(folder))))
    edit_middle(folder)
    seen.append(state(AdapterCheckpoint.open(tmp_path / "adapter", Checkpoint.open(folder))))
    assert len(set(seen)) == len(seen)


def test_an_adapter_has_the_config_of_its_base(own_pair: Callable[..., Pair], tmp_path: Path) -> None:
    base = own_pair().base
    train_adapter(base, tmp_path / "adapter")
    first = identity(AdapterCheckpoint.open(tmp_path / "adapter", Checkpoint.open(base)))
    edit_json(base / "config.json", rms_norm_eps=0.5)
    assert identity(AdapterCheckpoint.open(tmp_path / "adapter", Checkpoint.open(base))) != first


def test_a_subfolder_of_a_revision(cache: Path, pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    snapshot = put_into_cache(cache, "org/steps", tmp_path / "empty", ref="v1")
    for name in ("step1", "step2"):
        shutil.copytree(pair_of("llama").tuned, snapshot / "checkpoints" / name)
    assert resolve("org/steps/checkpoints/step2@v1") == snapshot / "checkpoints" / "step2"
    assert Checkpoint.open(resolve("org/steps/checkpoints/step1@v1")).tensors
    with pytest.raises(CheckpointError, match="has no folder 'step3' at v1"):
        resolve("org/steps/step3@v1")


def test_only_a_hub_id_has_revisions(tmp_path: Path) -> None:
    assert at_revision("org/name", None) == "org/name"
    assert at_revision("org/name/sub", "main") == "org/name/sub@main"
    for source in (tmp_path, "organism:base", "org/name@main", "./folder"):
        with pytest.raises(CheckpointError, match="has revisions"):
            at_revision(source, "main")


@pytest.mark.parametrize(
    ("options", "extra"),
    [
        ({}, []),
        ({"code": True}, ["modeling.py"]),
        ({"nested": True}, ["1_Pooling/x.json", "sub/model.safetensors"]),
    ],
    ids=str,
)
def test_what_is_fetched(options: dict[str, bool], extra: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def record(name: str, **given: Any) -> None:
        asked.update(given)
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", record)
    with pytest.raises(CheckpointError):
        resolve("org/name@v1", download=True, **options)
    usual = ["config.json", "model-00001-of-00002.safetensors", "LICENSE.md", "additional_chat_templates/tool.jinja"]
    others = ["modeling.py", "1_Pooling/x.json", "sub/model.safetensors", "consolidated.00.safetensors"]
    others += [
        "original/model.safetensors",
        "onnx/model.json",
        "pytorch_model.bin",
        "model.gguf",
        "consolidated.safetensors",
    ]
    patterns = {name: asked[name] for name in ("allow_patterns", "ignore_patterns")}
    assert sorted(filter_repo_objects([*usual, *others], **patterns)) == sorted([*usual, *extra])
    assert asked["revision"] == "v1"
    assert asked["local_files_only"] is False


def test_a_subfolder_is_fetched_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **given: asked.update(given) or ".")
    with pytest.raises(CheckpointError, match="has no folder 'no-such'"):
        resolve("org/name/no-such", download=True)
    files = ["config.json", "no-such/config.json", "no-such/deeper/config.json", "no-such/consolidated.safetensors"]
    patterns = {name: asked[name] for name in ("allow_patterns", "ignore_patterns")}
    assert list(filter_repo_objects(files, **patterns)) == ["no-such/config.json"]


def test_revisions_reach_restore_verify_and_delta(cache: Path, pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    put_into_cache(cache, "org/m", pair_of("llama").tuned)
    put_into_cache(cache, "org/m", pair_of("llama").base, commit="f" * 40, ref="step1")
    out = restore("org/m", "org/m", "1:3", tmp_path / "out", base_revision="step1", tuned_revision="main")
    name = "model.layers.1.mlp.up_proj.weight"
    assert torch.equal(read_all(out)[name], read_all(pair_of("llama").base)[name])
    record = json.loads((out / "recipe.json").read_text())
    assert [record[role]["source"] for role in ("base", "tuned")] == ["org/m@step1", "org/m@main"]
    assert verify_hybrid(out).ok
    assert verify_hybrid(out, base="org/m", base_revision="step1").ok
    assert not verify_hybrid(out, base_revision="main").ok
    changed = weight_delta("org/m", "org/m", base_revision="step1").to_dataframe()
    assert (changed["relative"] > 0).any()
    assert not (weight_delta("org/m", "org/m").to_dataframe()["relative"] > 0).any()


def test_revisions_on_the_command_line(
    cache: Path, pair_of: Callable[[str], Pair], run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    put_into_cache(cache, "org/m", pair_of("llama").base, ref="step1")
    sides = ["org/m", pair_of("llama").tuned, "--base-revision", "step1"]
    assert "org/m@step1" in run("inspect", *sides)[1]
    assert run("restore", *sides, "--layers", "1:3", "--out", tmp_path / "out")[0] == 0
    assert run("verify", tmp_path / "out")[0] == 0
    assert run("verify", tmp_path / "out", "--base-revision", "step2")[0] == 2
    assert run("inspect", *sides, "--tuned-revision", "x")[0] == 2


@pytest.mark.parametrize(
    "name", ["x" * 5000, "a/" + "y" * 300, "~nobody-at-all/model", "a\0b", "organism:" + "x" * 5000, "\udcff"]
)
def test_a_name_that_no_folder_can_have_is_one_error(name):
    with pytest.raises(CheckpointError):
        resolve(name)

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import constants

from slr_probe import ModelPair, restore, verify_hybrid
from slr_probe.checkpoint import AdapterCheckpoint, Checkpoint, identity, resolve
from slr_probe.errors import CheckpointError
from tests.checkpoint.test_adapter import train_adapter
from tests.tiny import Pair, edit_json, read_all, rewrite_tensor, snapshot

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
        blob = repo / "blobs" / f"{i:040x}"
        shutil.copyfile(file, blob)
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    if ref:
        (repo / "refs").mkdir(exist_ok=True)
        (repo / "refs" / ref).write_text(commit)
    return snapshot


def test_a_hub_id_is_found_in_the_cache(cache: Path, pair_of: Callable[[str], Pair]) -> None:
    snapshot = put_into_cache(cache, "org/base", pair_of("llama").base)
    assert resolve("org/base") == snapshot
    assert resolve("org/base", revision=COMMIT) == snapshot


def test_a_revision_is_a_branch_or_a_commit(cache: Path, pair_of: Callable[[str], Pair]) -> None:
    main = put_into_cache(cache, "org/base", pair_of("llama").base)
    step = put_into_cache(cache, "org/base", pair_of("llama").tuned, commit="f" * 40, ref="step1000")
    assert resolve("org/base") == main
    assert resolve("org/base", revision="step1000") == resolve("org/base", revision="f" * 40) == step
    with pytest.raises(CheckpointError, match=r"org/base.*not in the local Hugging Face cache"):
        resolve("org/base", revision="step2000")


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


@pytest.mark.parametrize("text", ["gpt2", "no such folder", "/no/such/folder", "./none", "a/b/c", "org/na me", "org/"])
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


def test_an_adapter_has_the_config_of_its_base(own_pair: Callable[..., Pair], tmp_path: Path) -> None:
    base = own_pair().base
    train_adapter(base, tmp_path / "adapter")
    first = identity(AdapterCheckpoint.open(tmp_path / "adapter", Checkpoint.open(base)))
    edit_json(base / "config.json", rms_norm_eps=0.5)
    assert identity(AdapterCheckpoint.open(tmp_path / "adapter", Checkpoint.open(base))) != first

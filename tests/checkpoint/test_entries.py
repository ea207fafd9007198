from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from slr_probe.checkpoint import Checkpoint
from slr_probe.checkpoint.entries import check_files, list_files, stamps
from slr_probe.errors import CheckpointError
from tests.tiny import Pair


@pytest.fixture
def folder(pair_of: Callable[[str], Pair], tmp_path: Path) -> Path:
    return Path(shutil.copytree(pair_of("llama").tuned, tmp_path / "checkpoint"))


def test_what_is_listed(tmp_path: Path) -> None:
    for name in ("config.json", "LICENSE", "notice.md", "modeling.py", "README.md", "weights.bin", "spiece.model"):
        (tmp_path / name).touch()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "x.json").touch()
    (tmp_path / "additional_chat_templates").mkdir()
    (tmp_path / "additional_chat_templates" / "tool.jinja").touch()
    names = [str(path.relative_to(tmp_path)) for path in list_files(tmp_path)]
    templates = ["additional_chat_templates/tool.jinja"]
    assert names == ["LICENSE", *templates, "config.json", "modeling.py", "notice.md", "spiece.model"]


@pytest.mark.parametrize("name", ["notes.txt", "tokenizer.json", "model-00001-of-00009.safetensors", "LICENSE"])
def test_a_link_out_of_the_checkpoint_is_refused(name: str, folder: Path) -> None:
    secret = folder.parent / "secret"
    secret.write_text("secret")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(secret)
    with pytest.raises(CheckpointError, match="link out of its checkpoint"):
        Checkpoint.open(folder)


def test_a_link_in_a_folder_of_templates_is_refused(folder: Path) -> None:
    (folder / "additional_chat_templates").symlink_to(folder.parent)
    (folder.parent / "x.txt").write_text("secret")
    with pytest.raises(CheckpointError, match="link out of its checkpoint"):
        check_files(folder)


def test_links_inside_the_folder_and_into_the_same_hub_repository(folder: Path, tmp_path: Path) -> None:
    (folder / "copy.json").symlink_to("config.json")
    Checkpoint.open(folder)
    repository = tmp_path / "models--org--name"
    snapshot = repository / "snapshots" / ("a" * 40)
    shutil.copytree(folder, snapshot)
    (repository / "blobs").mkdir()
    (snapshot / "config.json").rename(repository / "blobs" / "c")
    (snapshot / "config.json").symlink_to("../../blobs/c")
    assert Checkpoint.open(snapshot).config()["model_type"] == "llama"
    other = tmp_path / "models--org--other" / "blobs"
    other.mkdir(parents=True)
    (other / "c").write_bytes((repository / "blobs" / "c").read_bytes())
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").symlink_to("../../../models--org--other/blobs/c")
    with pytest.raises(CheckpointError, match="link out of its checkpoint"):
        Checkpoint.open(snapshot)


@pytest.mark.parametrize("target", ["nowhere", "loop.json"])
def test_a_link_that_leads_nowhere_is_refused(target: str, folder: Path) -> None:
    (folder / "loop.json").symlink_to(target)
    with pytest.raises(CheckpointError, match="leads nowhere"):
        Checkpoint.open(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors"])
def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(name: str, folder: Path) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(CheckpointError, match="no regular file"):
        Checkpoint.open(folder)


@pytest.mark.parametrize(("name", "megabytes", "right"), [("x.json", 17, False), ("tokenizer.json", 17, True)])
def test_files_are_bounded(name: str, megabytes: int, right: bool, folder: Path) -> None:
    with open(folder / name, "wb") as file:
        file.truncate(megabytes << 20)
    if right:
        check_files(folder)
    else:
        with pytest.raises(CheckpointError, match="at most"):
            check_files(folder)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "modeling.py"])
def test_a_folder_in_the_place_of_a_file_is_refused(name: str, folder: Path) -> None:
    (folder / "LICENSES").mkdir()
    check_files(folder)
    (folder / name).unlink(missing_ok=True)
    (folder / name).mkdir()
    with pytest.raises(CheckpointError, match="no regular file"):
        Checkpoint.open(folder)


def test_stamps_change_with_a_byte_in_the_middle_of_a_tensor(folder: Path) -> None:
    before = stamps(folder)
    assert before == stamps(folder)
    shard = sorted(folder.glob("*.safetensors"))[0]
    with open(shard, "r+b") as file:
        file.seek(shard.stat().st_size // 2)
        file.write(b"x")
    changed = [name for name, stamp in stamps(folder).items() if before[name] != stamp]
    assert changed == [shard.name]

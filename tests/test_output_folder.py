"""The output folder: complete or absent, whatever happens on the way."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from slr_probe import Recipe, restore, verify_hybrid
from slr_probe.errors import OutputError
from slr_probe.output_folder import output_folder
from slr_probe.restoration import write
from tests.tiny import DEPTH, Pair, edit_middle, snapshot

ROOT = Path(__file__).parents[1]
RECIPE = "0:4"
HANG = """
import importlib, sys, time
from slr_probe import restore
module, name, call, base, tuned, out, untouched = sys.argv[1:]
owner = importlib.import_module("slr_probe.restoration." + module)
original, calls = getattr(owner, name), 0
def hang(*args, **kwargs):
    global calls
    calls += 1
    if calls == int(call):
        print("hanging", flush=True)
        time.sleep(600)
    return original(*args, **kwargs)
setattr(owner, name, hang)
restore(base, tuned, "0:4", out, untouched=untouched)
"""
MOMENTS = {
    "before the first byte": ("write.write_shard", 1),
    "inside the first shard": ("stream._write", 5),
    "after two shards": ("write.write_shard", 3),
    "before the files around": ("write.copy_extras", 1),
    "before the record": ("write.write_record", 1),
}


@pytest.fixture
def llama(pair_of: Callable[[str], Pair]) -> Pair:
    return pair_of("llama")


@contextmanager
def hanging(pair: Pair, out: Path, moment: str, untouched: str = "auto") -> Iterator[Path]:
    """Another process that hangs at a moment of writing `out`, and is killed; yields its working folder."""
    place, call = MOMENTS[moment]
    arguments = [*place.split("."), str(call), *map(str, pair.folders), str(out), untouched]
    process = subprocess.Popen(
        [sys.executable, "-c", HANG, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "hanging\n"
        yield out.with_name(f".{out.name}.slr_probe-partial")
    finally:
        process.kill()
        process.communicate()


def weights(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.glob("*.safetensors")}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_is_resumed(moment: str, llama: Pair, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with hanging(llama, out, moment) as work:
        pass
    assert not out.exists()
    done = {file.name: file.stat() for file in work.glob("*.safetensors")}
    assert restore(*llama.folders, RECIPE, out) == out
    assert verify_hybrid(out).ok
    fresh = restore(*llama.folders, RECIPE, tmp_path / "fresh")
    assert weights(out) == weights(fresh)
    assert {p.name for p in out.iterdir()} == {p.name for p in fresh.iterdir()}
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["fresh", "out"]
    for name, before in done.items():  # finished shards were kept, not written once more
        after = (out / name).stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert len(done) == {"after two shards": 2, "before the files around": 5, "before the record": 5}.get(moment, 0)


@pytest.mark.parametrize(
    ("recipe", "options"), [("1:3", {}), (RECIPE, {"untouched": "copy"}), (RECIPE, {"check_finite": False})]
)
def test_a_killed_run_of_anything_else_is_discarded(
    recipe: str, options: dict[str, Any], llama: Pair, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with hanging(llama, out, "after two shards") as work:
        pass
    stale = {file.stat().st_ino for file in work.glob("*.safetensors")}
    kept = work.with_name("kept")
    work.rename(kept)  # keeps the inodes from being used again
    shutil.copytree(kept, work, copy_function=os.link)
    restore(*llama.folders, recipe, out, **options)
    assert verify_hybrid(out).ok
    assert weights(out) == weights(restore(*llama.folders, recipe, tmp_path / "fresh"))
    assert not stale & {file.stat().st_ino for file in out.iterdir()}


def test_a_killed_run_with_changed_sources_is_discarded(own_pair: Callable[..., Pair], tmp_path: Path) -> None:
    pair = own_pair()
    with hanging(pair, tmp_path / "out", "after two shards"):
        pass
    pair.base.rename(tmp_path / "first")
    shutil.copytree(pair.tuned, pair.base)
    restore(*pair.folders, RECIPE, tmp_path / "out")
    assert verify_hybrid(tmp_path / "out").ok
    assert weights(tmp_path / "out") == weights(pair.tuned)


def test_a_source_edited_in_the_middle_of_a_tensor_after_a_kill_is_noticed(
    own_pair: Callable[..., Pair], tmp_path: Path
) -> None:
    pair = own_pair("llama_tied")
    with hanging(pair, tmp_path / "out", "before the record"):
        pass
    edit_middle(pair.tuned)
    restore(*pair.folders, RECIPE, tmp_path / "out")
    assert verify_hybrid(tmp_path / "out").ok


def test_two_processes_cannot_write_one_folder(llama: Pair, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with hanging(llama, out, "after two shards") as work:
        before = snapshot(work)
        with pytest.raises(OutputError, match="is in use by another process; wait for it, or give another"):
            restore(*llama.folders, RECIPE, out)
        assert snapshot(work) == before
        assert not out.exists()
        restore(*llama.folders, RECIPE, tmp_path / "another")
    restore(*llama.folders, RECIPE, out)
    assert weights(out) == weights(tmp_path / "another")


def test_a_lock_on_a_folder_that_is_gone_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process finished between our opening its plan and our locking it."""
    import fcntl

    lock = fcntl.flock

    def finish_first(plan: Any, how: int) -> None:
        (tmp_path / ".out.slr_probe-partial").rename(tmp_path / "out")
        lock(plan, how)

    monkeypatch.setattr(fcntl, "flock", finish_first)
    with (
        pytest.raises(OutputError, match="is in use by another process"),
        output_folder(tmp_path / "out", {}, needed=0),
    ):
        raise AssertionError


def test_a_link_in_place_of_the_working_folder_is_not_followed(llama: Pair, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "weights").write_text("precious")
    (tmp_path / ".out.slr_probe-partial").symlink_to("theirs")
    with pytest.raises(OutputError, match="is not ours"):
        restore(*llama.folders, RECIPE, tmp_path / "out")
    assert (tmp_path / "theirs" / "weights").read_text() == "precious"


def test_a_working_folder_without_our_plan_is_left_alone(llama: Pair, tmp_path: Path) -> None:
    work = tmp_path / ".out.slr_probe-partial"
    work.mkdir()
    (work / "weights").write_text("precious")
    with pytest.raises(OutputError, match="is not ours"):
        restore(*llama.folders, RECIPE, tmp_path / "out")
    assert [path.name for path in work.iterdir()] == ["weights"]


def test_a_link_in_place_of_the_plan_is_not_followed(llama: Pair, tmp_path: Path) -> None:
    work = tmp_path / ".out.slr_probe-partial"
    work.mkdir()
    (tmp_path / "precious").write_text("mine")
    (work / "slr_probe.plan.json").symlink_to(tmp_path / "precious")
    with pytest.raises(OutputError, match="cannot write"):
        restore(*llama.folders, RECIPE, tmp_path / "out")
    assert (tmp_path / "precious").read_text() == "mine"


@pytest.mark.parametrize("content", ["file", ".hidden", "folder/"])
def test_a_folder_that_is_not_empty_is_left_alone(content: str, llama: Pair, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / content).mkdir() if content.endswith("/") else (out / content).write_text("mine")
    with pytest.raises(OutputError, match="out exists and is not empty; give a new folder"):
        restore(*llama.folders, RECIPE, out)
    assert [p.name for p in out.iterdir()] == [content.rstrip("/")]
    assert list(tmp_path.iterdir()) == [out]


def test_a_file_is_left_alone(llama: Pair, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="out is no folder; give a new folder"):
        restore(*llama.folders, RECIPE, tmp_path / "out")
    with pytest.raises(OutputError, match=r"cannot create .*Not a directory"):
        restore(*llama.folders, RECIPE, tmp_path / "out" / "below")
    assert (tmp_path / "out").read_text() == "mine"


def test_a_folder_that_fills_up_meanwhile_is_left_alone(
    llama: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def interfere(*args: Any) -> None:
        out.mkdir()
        (out / "theirs").write_text("theirs")

    monkeypatch.setattr(write, "write_record", interfere)
    with pytest.raises(OutputError, match="exists and is not empty"):
        restore(*llama.folders, RECIPE, out)
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "theirs"]


def fail_after(calls: int, error: BaseException, original: Any) -> Any:
    def act(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls -= 1
        if calls < 0:
            raise error
        return original(*args, **kwargs)

    return act


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize(
    ("place", "calls"), [("stream._write", 0), ("stream._write", 30), ("extras.shutil.copyfile", 2)]
)
def test_a_full_disk_is_one_clear_error(
    number: int, place: str, calls: int, llama: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"slr_probe.restoration.{place}"
    original = {"_write": write.write_shard.__globals__["_write"], "copyfile": shutil.copyfile}[
        place.rpartition(".")[2]
    ]
    monkeypatch.setattr(name, fail_after(calls, OSError(number, os.strerror(number)), original))
    with pytest.raises(OutputError, match=r"no space left while writing .*out; nothing was left behind"):
        restore(*llama.folders, RECIPE, tmp_path / "new" / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_for_real(llama: Pair, tmp_path: Path) -> None:
    """A limit on the size of files makes the kernel refuse the write."""
    script = (
        "import resource, sys; from slr_probe import restore\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "restore(*sys.argv[1:3], '0:4', sys.argv[3])"
    )
    command = [sys.executable, "-c", script, *map(str, llama.folders), str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "OutputError: no space left while writing" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_too_little_space_is_known_before_any_work(
    llama: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    monkeypatch.setattr(write, "write_shard", fail_after(0, AssertionError("work was begun"), None))
    with pytest.raises(OutputError, match=r"not enough space for .*: 0 MiB are needed, 0 MiB are free"):
        restore(*llama.folders, RECIPE, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_parent_that_cannot_be_written(
    number: int, llama: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "mkdir", fail_after(0, OSError(number, os.strerror(number)), None))
    with pytest.raises(OutputError, match=f"cannot create .*out: {os.strerror(number)}"):
        restore(*llama.folders, RECIPE, tmp_path / "out")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), OSError(errno.EIO, "Input/output error")])
def test_any_other_interruption_passes_through_and_leaves_nothing(
    error: BaseException, llama: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "write_shard", fail_after(2, error, write.write_shard))
    with pytest.raises(type(error)):
        restore(*llama.folders, Recipe.soup(0.5, DEPTH), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["y" * 300, "~nobody-at-all/out"])
def test_a_name_that_no_folder_can_have_is_one_error(tmp_path, name):
    out = Path(name) if name.startswith("~") else tmp_path / name
    with pytest.raises(OutputError, match="cannot create"), output_folder(out, {}, needed=0):
        pass

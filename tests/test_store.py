import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from slr_probe.errors import OutputError, SweepError
from slr_probe.files import write_npz
from slr_probe.store import Store, differences, find_part, hold

REQUEST = {"seed": 1, "sampling": {"temperature": 1.0}, "tasks": ["qa"]}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "out", "request.json", what="thing", error=SweepError, beside=("cache",))


def test_the_same_request_is_taken_again(store):
    assert store.request() is None
    store.claim(REQUEST)
    before = store.manifest.read_bytes()
    store.claim({**REQUEST, "tasks": ("qa",)})
    assert store.manifest.read_bytes() == before
    assert store.request() == REQUEST


def test_another_request_is_refused_and_both_values_are_named(store):
    store.claim(REQUEST)
    with pytest.raises(SweepError, match=r"another thing: sampling\.temperature was 1\.0 and is now 0\.5; give a new"):
        store.claim({**REQUEST, "sampling": {"temperature": 0.5}})
    assert store.request() == REQUEST


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
def test_a_damaged_request_is_refused(store, content):
    store.claim(REQUEST)
    store.manifest.write_bytes(content)
    with pytest.raises(SweepError, match=r"request\.json"):
        store.claim(REQUEST)


def test_a_folder_of_something_else_is_refused(store):
    store.folder.mkdir()
    for name in ("cache", ".lock", ".request.json.x.partial"):
        (store.folder / name).touch()
    store.refuse_foreign()
    (store.folder / "notes.txt").write_text("mine")
    with pytest.raises(SweepError, match="not empty and holds no thing"):
        store.claim(REQUEST)
    assert not store.manifest.exists()


def test_a_file_is_no_folder(store):
    store.folder.write_text("")
    with pytest.raises(SweepError, match="is a file"):
        store.refuse_foreign()
    with pytest.raises(OutputError, match="cannot write into"), store.locked():
        pass


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "a.b was 1 and is now 2"),
        ({"a": 1}, {"a": 1, "b": None}, "b was absent and is now None"),
        ({"a": 1, "b": []}, {"a": 1}, "b was [] and is now absent"),
        ({"a": [1, 2]}, {"a": [1, 3, 4]}, "a.1 was 2 and is now 3, a.2 was absent and is now 4"),
        ({"a": "x" * 99}, {"a": ""}, f"a was '{'x' * 76}... and is now ''"),
        (dict.fromkeys("abcde", 1), dict.fromkeys("abcde", 2), "c was 1 and is now 2, and 2 more"),
        ({"a": "0123456789abcdef" * 4}, {"a": "x"}, "a was '01234567...' and is now 'x'"),
        ({"a": {}}, {"a": {"b": 1}}, "a.b was absent and is now 1"),
        ({"a": {"b": 1}}, {"a": None}, "a was {'b': 1} and is now None"),
        ({"a": [1, 2], "z": 1}, {"a": [3, 4], "z": 2}, "z was 1 and is now 2, a.0 was 1"),
    ],
)
def test_differences(before, now, words):
    assert words in differences(before, now)


def test_parts_that_are_damaged_are_not_found(tmp_path):
    file = write_npz(tmp_path / "part.npz", "part/1", {"a": np.arange(2)}, {})
    assert find_part(file, "part/1")[0]["a"].tolist() == [0, 1]
    assert find_part(file, "part/2") is None
    file.write_bytes(file.read_bytes()[:50])
    assert find_part(file, "part/1") is None
    assert find_part(tmp_path / "absent.npz", "part/1") is None


def test_the_mark_stays_after_a_failure(store):
    store.claim(REQUEST)
    with pytest.raises(KeyboardInterrupt), store.at_work():
        raise KeyboardInterrupt
    assert (store.folder / "INCOMPLETE").exists()
    with store.at_work():
        pass
    assert not (store.folder / "INCOMPLETE").exists()


def test_one_writer_at_a_time(store):
    with store.locked():
        with pytest.raises(OutputError, match="in use by another process"), store.locked():
            pass
        assert (store.folder / ".lock").exists()  # the one that was refused took nothing away
    assert not list(store.folder.iterdir())
    with store.locked():
        pass


def test_a_lock_goes_with_the_process_that_held_it(store):
    code = f"""
import os
from pathlib import Path
from slr_probe.store import Store
with Store(Path({str(store.folder)!r}), "request.json").locked():
    os._exit(9)
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], check=False)
    assert run.returncode == 9
    assert (store.folder / ".lock").exists()
    with store.locked():
        store.claim(REQUEST)
    assert json.loads(store.manifest.read_text()) == REQUEST


def test_what_was_removed_meanwhile_is_not_held(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    lock = fcntl.flock

    def remove_first(file, how):
        (tmp_path / "lock").unlink()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with pytest.raises(OutputError, match="in use"), hold(tmp_path / "lock", tmp_path):
        pass


def test_a_file_system_without_locks_is_written_to(store, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def refuse(file, how):
        raise OSError(45, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with store.locked():
        store.claim(REQUEST)


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "lock").symlink_to("precious")
    with pytest.raises(OutputError, match="cannot write into"), hold(tmp_path / "lock", tmp_path):
        pass
    assert (tmp_path / "precious").read_text() == "mine"

import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from slr_probe.errors import MaskError, OutputError, ResultError, TaskError
from slr_probe.files import (
    append_jsonl,
    digest,
    disk_full,
    drop_partial_line,
    json_line,
    read_json,
    read_jsonl,
    read_npz,
    safe_name,
    write_json,
    write_npz,
    write_text,
    write_whole,
)


def fails_with(number):
    def write(file):
        file.write(b"half")
        raise OSError(number, os.strerror(number))

    return write


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_leaves_what_was_there(tmp_path, number):
    file = write_text(tmp_path / "a.txt", "before")
    with pytest.raises(OutputError, match="no space left on the disk") as caught:
        write_whole(file, fails_with(number))
    assert disk_full(caught.value.__cause__)
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


def test_an_interrupted_write_leaves_nothing(tmp_path):
    def write(file):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "a.txt", write)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_new_files_have_the_rights_that_the_user_set(tmp_path):
    before = os.umask(0o027)
    try:
        assert write_text(tmp_path / "a.txt", "x").stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_what_is_no_regular_file_is_written_into_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=write_text, args=(pipe, "through"))
    writer.start()
    assert pipe.read_text() == "through"
    writer.join()
    assert pipe.is_fifo()


_SAYS = """
from pathlib import Path
from slr_probe.files import write_text
print("printed")
write_text(Path("/dev/stdout"), "written\\n")
print("and more")
"""


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="streams have no names")
@pytest.mark.parametrize("into", ["pipe", "file"])
def test_the_output_of_the_program_is_written_into_wherever_it_goes(tmp_path, into):
    said = tmp_path / "said.txt"
    with said.open("wb") as file:
        where = subprocess.PIPE if into == "pipe" else file
        done = subprocess.run([sys.executable, "-c", _SAYS], stdout=where, check=True, timeout=60)
    text = done.stdout if into == "pipe" else said.read_bytes()
    assert text.decode().split("\n") == ["printed", "written", "and more", ""]


def test_json_is_strict_and_readable(tmp_path):
    file = write_json(tmp_path / "a.json", {"name": "né", "lone": "\ud800"})
    assert "né" in file.read_text(encoding="utf-8")
    assert read_json(file) == {"name": "né", "lone": "?"}
    with pytest.raises(ValueError, match="JSON"):
        write_json(file, {"x": float("nan")})


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000])
def test_json_that_is_none(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(TaskError, match=r"not JSON|not UTF-8"):
        read_json(tmp_path / "a.json", TaskError)
    with pytest.raises(MaskError, match="cannot read"):
        read_json(tmp_path / "absent.json", MaskError)


def test_arrays_come_back(tmp_path):
    arrays = {"a": np.arange(3), "names": np.array(["x", "é"])}
    file = write_npz(tmp_path / "a", "kind/1", arrays, {"level": 0.9})
    assert file.name == "a.npz"
    found, plain = read_npz(tmp_path / "a", "kind/1")
    assert plain == {"level": 0.9}
    assert {name: array.tolist() for name, array in found.items()} == {"a": [0, 1, 2], "names": ["x", "é"]}
    with pytest.raises(ResultError, match="holds 'kind/1', expected 'kind/2'"):
        read_npz(file, "kind/2")
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ResultError, match="not a saved result"):
        read_npz(file, "kind/1")


def test_objects_are_not_pickled(tmp_path):
    with pytest.raises(OutputError, match="Python objects"):
        write_npz(tmp_path / "a.npz", "kind/1", {"a": np.array([{}, None])}, {})


def test_lines_come_back(tmp_path):
    file = tmp_path / "a.jsonl"
    append_jsonl(file, [{"id": 1, "text": "two\nlines \u2028"}])
    append_jsonl(file, [{"id": 2}])
    assert list(read_jsonl(file)) == [(1, {"id": 1, "text": "two\nlines \u2028"}), (2, {"id": 2})]
    assert json.loads(json_line({"text": "\ud800"})) == {"text": "?"}


def test_blank_lines_and_a_byte_order_mark(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"id": 1}\r\n \n{"id": 2}')
    assert [number for number, _ in read_jsonl(tmp_path / "a.jsonl")] == [1, 3]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{broken", "line 2: not JSON"),
        (b"[" * 100_000, "line 2: not JSON"),
        (b"[1, 2]", "line 2: expected a JSON object, found list"),
        (b'{"text": "caf\xe9"}', r"line 2: not UTF-8 \(byte 0xe9 at column 14\)"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, why):
    (tmp_path / "a.jsonl").write_bytes(b"{}\n" + line + b"\n")
    with pytest.raises(MaskError, match=why):
        list(read_jsonl(tmp_path / "a.jsonl", MaskError))


@pytest.mark.parametrize("whole", [b"", b"{}\n", b"{}\n" + b"x" * 70_000 + b"\n"])
@pytest.mark.parametrize("partial", [b"", b'{"id"', b"y" * 140_000])
def test_a_partial_line_is_cut_off(tmp_path, whole, partial):
    (tmp_path / "a.jsonl").write_bytes(whole + partial)
    drop_partial_line(tmp_path / "a.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == whole


def test_digests():
    assert digest({"a": 1, "b": [1]}) == digest({"b": [1], "a": 1}) != digest({"a": 1, "b": [2]})
    assert digest(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_names_of_files():
    assert safe_name("open questions (é)") == "open-questions-~28é~29"
    assert "/" not in safe_name("../x")
    assert len(safe_name("x" * 300)) == 100

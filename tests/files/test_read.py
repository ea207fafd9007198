"""What is read is regular, of bounded size and depth, and JSON; whatever else it is, is one error."""

from __future__ import annotations

import json
import os
import time

import pytest

from slr_probe.errors import ResultError, TaskError
from slr_probe.files import parse_json, read_json, read_jsonl, read_npz, read_regular, read_text
from slr_probe.files import read as rooms


def lines(path):
    return list(read_jsonl(path, TaskError))


READERS = [lambda path: read_text(path, TaskError), lambda path: read_json(path, TaskError), lines]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("kind", ["pipe", "folder", "absent", "long name", "no name", "loop", "device"])
def test_what_is_no_file_is_one_error_at_once(tmp_path, read, kind):
    path = tmp_path / "file"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    path = {
        "long name": tmp_path / ("x" * 5000),
        "no name": tmp_path / "a\0b",
        "device": type(path)("/dev/zero"),
    }.get(kind, path)
    began = time.perf_counter()
    with pytest.raises(TaskError, match="cannot read"):
        read(path)
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("content", [b"\xff\xfe", b'{"a": "\xed\xa0\x80"}'])
def test_what_is_not_utf_8_is_one_error(tmp_path, read, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(TaskError, match="UTF-8"):
        read(tmp_path / "file")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, "9" * 5000, "[" * 150 + "]" * 150, '{"a": ' * 150 + "1" + "}" * 150, "nul", "{'a': 1}"],
)
def test_what_is_no_usable_json_is_one_error(tmp_path, text):
    with pytest.raises(TaskError, match=r"not JSON|nested more than 100 deep"):
        parse_json(text, "it", TaskError)
    (tmp_path / "file").write_text(f'{{"a": {text}}}')
    for read in READERS[1:]:
        with pytest.raises(TaskError, match=r"not JSON|nested more than 100 deep"):
            read(tmp_path / "file")


def test_the_deepest_json_that_is_read_is_read():
    deep = json.loads("[" * 100 + "]" * 100)
    assert parse_json(json.dumps(deep), "it") == deep


def test_links_and_a_byte_order_mark_are_no_matter(tmp_path):
    (tmp_path / "file").write_bytes(b'\xef\xbb\xbf{"a": "\xc3\xa9"}')
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        assert read_json(tmp_path / name) == {"a": "é"}
        assert lines(tmp_path / name) == [(1, {"a": "é"})]


def test_sizes_are_bounded(tmp_path, monkeypatch):
    (tmp_path / "file").write_text('{"a": 12345}\n')
    with pytest.raises(OSError, match="5 are read at most"):
        read_regular(tmp_path / "file", 5)
    monkeypatch.setattr(rooms, "_LONGEST_LINE", 10)
    with pytest.raises(TaskError, match="line 1 is longer than 10 bytes"):
        lines(tmp_path / "file")


def test_no_descriptor_is_left_open(tmp_path):
    before = os.listdir("/proc/self/fd")
    for path in (tmp_path, "/dev/zero", tmp_path / "absent"):
        for read in READERS:
            with pytest.raises(TaskError):
                read(path)
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_arrays_are_read_from_regular_files_only(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")  # reading it would wait for ever
    with pytest.raises(ResultError, match="no regular file"):
        read_npz(tmp_path / "pipe.npz", "sweep")

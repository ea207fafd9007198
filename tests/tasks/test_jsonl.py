import json

import pytest

from slr_probe.errors import TaskError
from slr_probe.tasks import read_task


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_own_lines(tmp_path):
    file = write(
        tmp_path / "mine.jsonl",
        {"prompt": "Write a poem.", "kind": "poem", "constraints": {"lines": 4, "contains": "moon"}},
        {"id": 7, "prompt": "Name a colour.", "answers": ["red", ["blue", "azure"]]},
        {"id": "sum", "prompt": "1 + 1?", "answers": ["2"], "check": "number", "constraints": [["max_words", 9]]},
        {"prompt": "Say café.", "answers": None, "check": None},
    )
    file.write_text("﻿" + file.read_text(encoding="utf-8") + "\r\n\n", encoding="utf-8")
    task = read_task(file, max_tokens=9, samples=3)
    assert [item.id for item in task.items] == ["line-1", "7", "sum", "line-4"]
    assert [item.check for item in task.items] == ["none", "list", "number", "none"]
    assert task.items[0].constraints == (("lines", 4), ("contains", "moon"))
    assert task.items[1].answers == (("red",), ("blue", "azure"))
    assert (task.name, task.max_tokens, task.samples, task.source) == ("mine", 9, 3, "Read from mine.jsonl")


GOOD = b'{"prompt": "ok"}\n'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"prompt": "cut', r"line 3: not JSON"),
        (b"plain text", r"line 3: not JSON"),
        (b"[1, 2]", r"line 3: expected a JSON object"),
        (b'{"prompt": "caf\xe9"}', r"line 3: not UTF-8 \(byte 0xe9 at column 16\)"),
        (b'{"id": "a"}', r"line 3: no prompt"),
        (b'{"prompt": ""}', r"line 3: the prompt"),
        (b'{"prompt": 5}', r"line 3: the prompt"),
        (b'{"prompt": null}', r"line 3: no prompt"),
        (b'{"prompt": "a", "id": "line-1"}', r"line 3: the id 'line-1' is already in line 1"),
        (b'{"prompt": "a", "id": 1.5}', r"line 3: the id"),
        (b'{"prompt": "a", "check": "regex", "answers": ["b"]}', r"line 3: unknown check 'regex'"),
        (b'{"prompt": "a", "check": "number", "answers": ["b"]}', r"line 3: .* must be a number"),
        (b'{"prompt": "a", "answers": "b"}', r"line 3: .* must be a list"),
        (b'{"prompt": "a", "anwsers": ["b"]}', r"line 3: unknown fields anwsers"),
        (b'{"prompt": "a", "constraints": 3}', r"line 3: constraints must be"),
        (b'{"prompt": "a", "constraints": {"rhymes": 1}}', r"line 3: unknown constraint 'rhymes'"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    file = tmp_path / "bad.jsonl"
    file.write_bytes(GOOD + b"\n" + line + b"\n" + GOOD)
    with pytest.raises(TaskError, match=message):
        read_task(file)


def test_empty_and_missing_files(tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(TaskError, match="holds no prompts"):
        read_task(tmp_path / "empty.jsonl")
    with pytest.raises(TaskError, match="cannot read"):
        read_task(tmp_path / "none.jsonl")

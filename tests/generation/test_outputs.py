"""Reading saved and foreign JSONL; every fault is named with its line."""

from __future__ import annotations

import json

import pytest

from slr_probe.errors import ResultError
from slr_probe.files import json_line
from slr_probe.generation import Outputs, read_outputs


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_the_least_that_is_needed(tmp_path):
    file = write(
        tmp_path / "mine.jsonl", {"id": 1, "text": "x"}, {"id": 2, "text": ""}, {"id": 1, "text": "y", "score": 3}
    )
    found = read_outputs(file)
    assert found.keys() == {"mine"}
    assert found["mine"] == Outputs("mine", ("1", "2"), ("", ""), (("x", "y"), ("",)), ((True, True), (True,)))
    assert found["mine"].samples == 1


def test_models_samples_and_prompts(tmp_path):
    rows = [
        {"model": "a", "id": "p", "prompt": "Hi", "sample": 1, "text": "second", "finished": False},
        {"model": "a", "id": "p", "prompt": "Hi", "sample": 0, "text": "first"},
        {"model": "b", "id": "p", "prompt": "Hi", "sample": 0, "text": "other"},
    ]
    write(tmp_path / "one.jsonl", *rows[:2])
    write(tmp_path / "two.jsonl", *rows[2:])
    found = read_outputs(tmp_path)
    assert found["a"].texts == (("first", "second"),)
    assert found["a"].finished == ((True, False),)
    assert found["b"].prompts == ("Hi",)


def test_byte_order_mark_and_empty_lines(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + b'{"id": "p", "text": "x"}\r\n\n{"id": "q", "text": "y"}')
    assert read_outputs(file)["a"].ids == ("p", "q")


GOOD = b'{"id": "p", "text": "x"}\n'


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{broken", "line 2: not JSON"),
        (b'{"id": "p", "text": "caf\xe9"}', r"line 2: not UTF-8 \(byte 0xe9 at column 25\)"),
        (b"[1, 2]", "line 2: expected a JSON object, found list"),
        (b"[" * 100_000, "line 2: not JSON"),
        (b'{"text": "x"}', "line 2: 'id' must be text, but is missing"),
        (b'{"id": "q", "text": 3}', "line 2: 'text' must be text, but is 3"),
        (b'{"id": "q", "text": null}', "line 2: 'text' must be text, but is None"),
        (b'{"id": "p", "text": "x", "sample": 0}', "line 2: sample 0 of prompt 'p' is given twice"),
        (b'{"id": "p", "text": "x", "sample": -1}', "line 2: 'sample' must be a number"),
        (b'{"id": "p", "text": "x", "sample": 1, "prompt": "new"}', "line 2: prompt 'p' of 'a' has another text"),
        (b'{"id": "q", "text": "x", "finished": "yes"}', "line 2: 'finished' must be true or false"),
    ],
)
def test_faults_are_named_with_their_line(tmp_path, line, why):
    file = tmp_path / "a.jsonl"
    file.write_bytes(GOOD + line + b"\n")
    with pytest.raises(ResultError, match=why):
        read_outputs(file)


def test_no_file_and_no_lines(tmp_path):
    with pytest.raises(ResultError, match="cannot read"):
        read_outputs(tmp_path / "absent.jsonl")
    with pytest.raises(ResultError, match="holds no"):
        read_outputs(tmp_path)
    (tmp_path / "a.jsonl").write_text("\n")
    with pytest.raises(ResultError, match="holds no outputs"):
        read_outputs(tmp_path / "a.jsonl")


def test_broken_settings_beside_the_file(tmp_path):
    write(tmp_path / "a.jsonl", {"id": "p", "text": "x"})
    (tmp_path / "settings.json").write_text("[]")
    with pytest.raises(ResultError, match=r"settings\.json"):
        read_outputs(tmp_path)


def test_any_text_comes_back(tmp_path):
    texts = ("", "two\nlines", "é 🌙 \u2028", 'quote " and \\ slash', "\x00")
    outputs = Outputs("m", ("p",), ("?",), (texts,), ((True,) * 5,))
    assert read_outputs(outputs.save(tmp_path / "m.jsonl"))["m"] == outputs
    assert "\\ud800" not in json_line({"text": "\ud800"})
    assert json_line({"text": "\ud800"}).encode()


@pytest.mark.parametrize("field", ["outputs", "generations", "responses", "completions"])
def test_all_outputs_of_a_prompt_may_stand_in_one_line(tmp_path, field):
    file = write(
        tmp_path / "a.jsonl", {"id": 1, "prompt": "A poem.", field: ["one", "two"]}, {"id": "2", field: ["three"]}
    )
    found = read_outputs(file)["a"]
    assert found.texts == (("one", "two"), ("three",))
    assert found.prompts == ("A poem.", "")


@pytest.mark.parametrize("row", [{"outputs": []}, {"outputs": [1]}, {"outputs": ["a"], "responses": ["b"]}])
def test_a_list_that_is_none_of_texts_is_named(tmp_path, row):
    with pytest.raises(ResultError, match="line 1: 'outputs' must be a list of texts"):
        read_outputs(write(tmp_path / "a.jsonl", {"id": "1", **row}))


def test_outputs_print_short():
    texts, ended = (("x\n" * 300, "y"), ("z", "z")), ((True, True), (True, False))
    long = Outputs("tuned", ("a", "b"), ("p" * 500, "q"), texts, ended)
    assert repr(long).startswith("Outputs('tuned', 2 prompts x 2 samples, first 'x x x")
    assert len(repr(long)) < 120
    assert repr(Outputs("none", (), (), (), ())) == "Outputs('none', 0 prompts x 0 samples, first '')"

"""Outputs, tasks and lines of JSON."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from slr_probe.errors import SlrProbeError, printable
from slr_probe.files import read_jsonl
from slr_probe.generation import read_outputs
from slr_probe.tasks import CRCTask, Item, TextTask, known_task, read_task
from slr_probe.tasks.listed import read_listed
from slr_probe.tasks.numbers import canonical_number, read_number
from slr_probe.tasks.thinking import REASONING, strip_thinking
from tests.fuzz.strategies import BOUNDED, pieces, plain_data, wrong

NUMBERS = pieces(
    *(
        "\\boxed{",
        "}",
        "{",
        "\\frac",
        "#### ",
        "The answer is ",
        "Answer:",
        "=",
        "^",
        "/",
        "-",
        "−",
        ".",
        ",",
        "e",
        "E",
    ),
    *("\\times", "10", "1e999999999", "9" * 200, "½", "²", "**", "$", "%", "\n", " ", "Question: ", "cm", "\\text{"),
    most=30,
)
MARKS = pieces(*(mark for pair in REASONING for mark in pair), "word ", "\n")
ITEM = {
    "prompt": "Name one.",
    "id": "a",
    "answers": ["red", "blue"],
    "check": "list",
    "constraints": [["max_words", 8]],
}
OUTPUT = {"id": "1", "prompt": "Hi", "text": "a", "sample": 0, "finished": True, "model": "m"}


def none_or_error(read, *arguments):
    """A result, or one error of ours that can be printed in a line."""
    told = None
    try:
        return read(*arguments)
    except SlrProbeError as error:
        told = str(error)
    assert told == printable(told)
    return None


@BOUNDED
@given(NUMBERS | st.text(max_size=200))
def test_an_answer_is_a_number_of_one_spelling_or_none(text):
    found = read_number(text)
    assert found is None or canonical_number(found) == found


@BOUNDED
@given(st.text(max_size=200) | pieces("red", "Red.", "\n", "Question:", "a", "\u0e01", "ば", "\u200d", "'s"))
def test_a_listed_answer_is_one_of_them_or_the_first_line(text):
    found = read_listed((("red", "crimson"), ("blue",)), text)
    assert found is None or found in ("red", "blue") or found == found.casefold()


@BOUNDED
@given(MARKS, st.sampled_from(REASONING))
def test_no_mark_of_reasoning_is_left(text, tags):
    left = strip_thinking(text, tags)
    assert tags[1] not in left or tags[1] in tags[0]
    assert strip_thinking(left, tags) == left or tags[0] in left


@BOUNDED
@given(
    st.lists(
        plain_data.map(json.dumps) | st.text(max_size=30) | wrong(OUTPUT, list(OUTPUT)).map(json.dumps), max_size=4
    )
)
def test_lines_are_read_or_one_is_named(tmp_path_factory, lines):
    file = tmp_path_factory.mktemp("fuzz") / "a.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    for read in (lambda path: list(read_jsonl(path)), read_outputs, read_task):
        none_or_error(read, file)


@BOUNDED
@given(wrong(ITEM, list(ITEM)) | plain_data)
def test_tasks_are_read_or_refused(tmp_path_factory, row):
    file = tmp_path_factory.mktemp("fuzz") / "a.json"
    for data in (
        row,
        [row],
        {"format": "slr_probe.crc/1", "items": [row]},
        {"format": "slr_probe.text/1", "items": row},
    ):
        file.write_text(json.dumps(data))
        none_or_error(CRCTask.load, file)
        none_or_error(TextTask.load, file)
        none_or_error(known_task, "math", file)
    file.with_suffix(".jsonl").write_text(json.dumps(row))
    none_or_error(read_task, file.with_suffix(".jsonl"))
    if isinstance(row, dict):
        none_or_error(lambda: Item(**{**ITEM, **{key: value for key, value in row.items() if key in ITEM}}))

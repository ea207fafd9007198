"""Files of prompts, whichever task they are for: a JSON list, an object with "items", or an object a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slr_probe.errors import TaskError
from slr_probe.files import parse_json, read_jsonl, read_text

CRC_LINE = '{"prompt": "Pick one: red or blue.", "answers": ["red", "blue"], "split": "selection"}'
TEXT_LINE = '{"prompt": "Name a primary color.", "answers": ["red", "blue", "yellow"]}'
"""A line of each kind of task, shown in errors."""


@dataclass(frozen=True)
class Row:
    """One entry of a file: what it holds, where, and a name for it."""

    value: Any
    place: str
    name: str


@dataclass(frozen=True)
class TaskFile:
    """What a file of prompts holds: its entries, and the other fields of the object around them, if any."""

    head: Mapping[str, Any]
    rows: tuple[Row, ...]


def read_rows(path: Path, format: str, example: str) -> TaskFile:
    """Read a file of prompts as JSON or as lines of JSON: what it holds decides, not its name.

    Args:
        path: UTF-8 file.
        format: What an object around the entries may call itself.
        example: A line of such a file, for messages.

    Raises:
        TaskError: It cannot be read, is neither, is of another format, or holds no entry.
    """
    whole = _whole(path, example)
    if isinstance(whole, Mapping) and whole.get("format", format) != format:
        raise TaskError(f"{path} has format {whole['format']!r}; expected {format!r}, or lines such as {example}")
    items = whole.get("items") if isinstance(whole, Mapping) else whole
    if whole is None:
        rows = [Row(row, f"{path}, line {number}", f"line-{number}") for number, row in _lines(path, example)]
    elif isinstance(items, list):
        rows = [Row(row, f"{path}, item {number}", f"item-{number}") for number, row in enumerate(items, 1)]
    else:
        raise TaskError(
            f"{path} must hold a list of items, an object with 'items', or an object a line; got "
            f"{type(whole).__name__}. A line looks like {example}"
        )
    if not rows:
        raise TaskError(f"{path} holds no prompts; expected a JSON list, or lines such as {example}")
    return TaskFile(whole if isinstance(whole, Mapping) else {}, tuple(rows))


def _whole(path: Path, example: str) -> Any:
    """The file as one JSON value; None where it holds lines, of which a single one is an object with a prompt."""
    try:
        text = read_text(path, TaskError)
    except TaskError:
        if path.suffix == ".jsonl" and path.is_file():
            return None  # the line that is at fault is named below
        raise
    if not text.strip():
        return None
    try:
        found = parse_json(text, str(path), TaskError)
    except TaskError as error:
        if text.lstrip()[0] == "{":
            return None
        raise TaskError(f"{error}. Expected a JSON list, or lines such as {example}") from error
    return None if isinstance(found, Mapping) and "prompt" in found else found


def _lines(path: Path, example: str) -> Any:
    try:
        yield from read_jsonl(path, TaskError)
    except TaskError as error:
        raise TaskError(f"{error}. A line looks like {example}") from error

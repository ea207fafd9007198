"""Read tasks from files: one prompt a line as JSON, or well-known sets by local path."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from slr_probe.errors import TaskError
from slr_probe.files import read_jsonl
from slr_probe.tasks.text import Item, TextTask

_FIELDS = tuple(field.name for field in fields(Item))


def read_task(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    family: str = "own",
    max_tokens: int = 256,
    samples: int = 16,
) -> TextTask:
    r"""Read a task from lines of JSON: `{"prompt": ..., "id": ..., "kind": ..., "answers": ..., "check": ...}`.

    Only `prompt` is needed. `id` defaults to the line ("line-3"); numbers are taken as text. `answers` is a list of
    texts or of lists of spellings, `constraints` a list of pairs (`["max_words", 80]`) or an object
    (`{"max_words": 80}`). `check` defaults to "list" where there are answers. Blank lines are passed over.

    Args:
        path: UTF-8 file.
        name: Label; default: the name of the file.
        family: Label of the family.
        max_tokens: Tokens that an output may have.
        samples: Outputs a prompt in a full study.

    Raises:
        TaskError: The file cannot be read or holds no prompt; or a line, named by its number, is not UTF-8, not a JSON
            object, has no prompt, an unknown field, an id that was used before, or anything that `Item` refuses.

    Examples:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "mine.jsonl"
        >>> _ = file.write_text('{"prompt": "Name a primary color.", "answers": ["red", "blue", "yellow"]}\n')
        >>> read_task(file).items[0].check
        'list'
    """
    file = Path(path)
    items: list[Item] = []
    lines: dict[str, int] = {}
    for number, row in read_jsonl(file, TaskError):
        item = _item(row, f"{file}, line {number}", f"line-{number}")
        if item.id in lines:
            raise TaskError(f"{file}, line {number}: the id {item.id!r} is already in line {lines[item.id]}")
        lines[item.id] = number
        items.append(item)
    if not items:
        raise TaskError(f"{file} holds no prompts; expected one JSON object a line, such as {{'prompt': '...'}}")
    return TextTask(name or file.stem, family, tuple(items), max_tokens, samples, f"Read from {file.name}")


def _item(row: Mapping[str, Any], place: str, default: str) -> Item:
    unknown = row.keys() - set(_FIELDS)
    if unknown:
        raise TaskError(f"{place}: unknown fields {', '.join(sorted(unknown))}; expected {', '.join(_FIELDS)}")
    if row.get("prompt") is None:
        raise TaskError(f"{place}: no prompt; expected an object with at least the field 'prompt'")
    values = {key: value for key, value in row.items() if value is not None}
    name = values.get("id", default)
    values["id"] = str(name) if isinstance(name, int) and not isinstance(name, bool) else name
    if values.get("answers"):
        values.setdefault("check", "list")
    constraints = values.get("constraints", ())
    if not isinstance(constraints, (list, tuple, Mapping)):
        raise TaskError(f"{place}: constraints must be a list of pairs or an object; got {constraints!r}")
    values["constraints"] = tuple(constraints.items() if isinstance(constraints, Mapping) else constraints)
    try:
        return Item(**values)
    except TaskError as error:
        raise TaskError(f"{place}: {error}") from error

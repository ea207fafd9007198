"""Read tasks from files of prompts: JSON, or an object a line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from slr_probe.errors import TaskError
from slr_probe.tasks.rows import TEXT_LINE, read_rows
from slr_probe.tasks.text import FORMAT, Item, TextTask

_FIELDS = tuple(field.name for field in fields(Item))


def read_task(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    family: str = "own",
    max_tokens: int = 256,
    samples: int = 16,
) -> TextTask:
    r"""Read a task from JSONL, or from a list in JSON: `{"prompt": ..., "id": ..., "kind": ..., "answers": ...}`.

    Only `prompt` is needed. `id` defaults to the place ("line-3", "item-3"); numbers are taken as text. `answers` is a
    list of texts or of lists of spellings, `constraints` a list of pairs (`["max_words", 80]`) or an object
    (`{"max_words": 80}`). `check` defaults to "list" where there are answers. Blank lines are passed over. What
    `TextTask.save` wrote is read as it was saved, whatever else is given here.

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
    places: dict[str, str] = {}
    found = read_rows(file, FORMAT, TEXT_LINE)
    if "format" in found.head:
        return TextTask.load(file)
    for row in found.rows:
        try:
            item = _item(row.value, row.place, row.name)
        except TaskError as error:
            raise TaskError(f"{error}. A line looks like {TEXT_LINE}") from error
        if item.id in places:
            raise TaskError(
                f"{row.place}: the id {item.id!r} is already in {places[item.id].removeprefix(f'{file}, ')}"
            )
        places[item.id] = row.place
        items.append(item)
    return TextTask(name or file.stem, family, tuple(items), max_tokens, samples, f"Read from {file.name}")


def _item(row: Any, place: str, default: str) -> Item:
    if not isinstance(row, Mapping):
        raise TaskError(f"{place}: expected a JSON object, found {type(row).__name__}")
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

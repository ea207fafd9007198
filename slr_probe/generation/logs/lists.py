"""Plain JSONL with all samples of a prompt in one list: `{"prompt": "...", "outputs": ["...", "..."]}`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from slr_probe.errors import GenerationError, ResultError
from slr_probe.generation.logs.log import Log
from slr_probe.generation.outputs import Outputs

FIELDS = ("outputs", "samples", "texts", "responses", "completions", "generations")
"""Names that the list of texts goes by."""
EXAMPLE = '{"prompt": "Name a colour.", "outputs": ["red", "blue"]}'


def is_list(row: Mapping[str, Any]) -> bool:
    """Whether a line holds all samples of a prompt."""
    return any(isinstance(row.get(field), list) for field in FIELDS)


def read_lists(file: Path, rows: Iterable[tuple[int, Mapping[str, Any]]]) -> list[Log]:
    """One log for each model that the lines name; without a name, the file's.

    Args:
        file: The file.
        rows: Its lines: `prompt`, a list of texts under one of `FIELDS`, and if known `id` (default: the number of the
            line) and `model`.

    Raises:
        ResultError: A line without prompt or texts; it is named.
    """
    tables: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {}
    for number, row in rows:
        place = f"{file}, line {number}"
        texts = next((row[field] for field in FIELDS if isinstance(row.get(field), list)), None)
        if not isinstance(row.get("prompt"), str) or not texts or not all(isinstance(text, str) for text in texts):
            raise ResultError(f"{place}: expected a prompt and a list of texts, such as {EXAMPLE}")
        table = tables.setdefault(str(row.get("model", file.stem)), {})
        name = str(row.get("id", f"line-{number}"))
        if name in table:
            raise ResultError(f"{place}: the id {name!r} was given before; each prompt has one line")
        table[name] = (row["prompt"], tuple(texts))
    try:
        return [Log(_outputs(model, table), ends=False) for model, table in tables.items()]
    except GenerationError as error:
        raise ResultError(f"{file}: {error}") from error


def _outputs(model: str, table: Mapping[str, tuple[str, tuple[str, ...]]]) -> Outputs:
    texts = tuple(texts for _, texts in table.values())
    ended = tuple((True,) * len(row) for row in texts)
    return Outputs(model, tuple(table), tuple(prompt for prompt, _ in table.values()), texts, ended)

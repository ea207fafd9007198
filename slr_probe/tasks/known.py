"""Well-known sets of prompts, from files that the user has; nothing is ever downloaded."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slr_probe.errors import TaskError
from slr_probe.files import read_json, read_jsonl
from slr_probe.tasks.numbers import canonical_number, last_box
from slr_probe.tasks.text import Item, TextTask

Row = Mapping[str, Any]


@dataclass(frozen=True)
class _Known:
    """How one set is written.

    Attributes:
        family: Task family.
        prompt: Fields that may hold the prompt; the first that is there counts.
        kind: Likewise for the category.
        id: Likewise for the id.
        answer: Reads the final answer of a row, None where it is no number; itself None where nothing is verifiable.
        max_tokens: Tokens that an output may have.
        samples: Outputs a prompt.
    """

    family: str
    prompt: tuple[str, ...]
    kind: tuple[str, ...] = ()
    id: tuple[str, ...] = ()
    answer: Callable[[Row], str | None] | None = None
    max_tokens: int = 320
    samples: int = 64


def _gsm8k(row: Row) -> str | None:
    return canonical_number(str(row.get("answer", "")).rpartition("####")[2])


def _math(row: Row) -> str | None:
    if row.get("answer") is not None:
        return canonical_number(str(row["answer"]))
    return canonical_number(last_box(str(row.get("solution", ""))) or "")


_SETS = {
    "gsm8k": _Known("reasoning", ("question",), answer=_gsm8k),
    "math": _Known("reasoning", ("problem",), ("type", "subject"), ("unique_id", "id"), _math, 768),
    "novelty-bench": _Known("writing", ("prompt",), ("category",), ("id",), max_tokens=512, samples=10),
    "alpaca-eval": _Known("writing", ("instruction",), ("dataset",), max_tokens=512, samples=16),
}


def known_task(name: str, path: str | os.PathLike[str]) -> TextTask:
    """Read a well-known set from a local file.

    | name | fields that are read | check |
    |---|---|---|
    | gsm8k | question, answer ("... #### 42") | number |
    | math | problem, answer or solution (last box), type or subject, unique_id | number |
    | novelty-bench | id, category, prompt | none |
    | alpaca-eval | instruction, dataset | none |

    Files may be JSONL, JSON (a list of rows) or parquet (read with pandas). Problems of "math" whose answer is no
    number are left out, and `source` says how many.

    Args:
        name: One of the names above.
        path: File, or a folder that holds exactly one such file.

    Raises:
        TaskError: The name is unknown, the file cannot be read, or a row lacks a field or its answer; the message
            names the line (or the row).
    """
    if name not in _SETS:
        raise TaskError(f"unknown set {name!r}; expected one of {', '.join(_SETS)}, or read your own with read_task")
    known, file = _SETS[name], _file(Path(path))
    items: dict[str, Item] = {}
    rows = 0
    for number, row in _rows(file):
        item = _item(known, row, f"{name}-{rows:04d}", f"{file}, line {number}")
        rows += 1
        if item is None:
            continue
        if item.id in items:
            raise TaskError(f"{file}, line {number}: the id {item.id!r} is listed twice")
        items[item.id] = item
    if not items:
        raise TaskError(f"{file} holds no prompts of {name!r} that can be used ({rows} rows read)")
    left = f"; {rows - len(items)} of {rows} left out, their answer is no number" if rows > len(items) else ""
    source = f"{name}, read from {file.name}{left}"
    return TextTask(name, known.family, tuple(items.values()), known.max_tokens, known.samples, source)


def _item(known: _Known, row: Row, default: str, place: str) -> Item | None:
    prompt = _first(row, known.prompt)
    if not isinstance(prompt, str) or not prompt.strip():
        raise TaskError(f"{place}: no text in the field {known.prompt[0]!r}; the row has {', '.join(map(str, row))}")
    label, kind = str(_first(row, known.id) or default), str(_first(row, known.kind) or "")
    if known.answer is None:
        return Item(label, prompt, kind)
    if not {"answer", "solution"} & row.keys():
        raise TaskError(f"{place}: no answer; the row has {', '.join(map(str, row))}")
    answer = known.answer(row)
    if answer is None and known.prompt == ("question",):
        raise TaskError(f"{place}: the answer must end with '#### ' and a number; got {str(row.get('answer'))[-60:]!r}")
    return Item(label, prompt, kind, ((answer,),), "number") if answer is not None else None


def _first(row: Row, names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    files = sorted(file for file in path.iterdir() if file.suffix in (".jsonl", ".json", ".parquet"))
    if len(files) != 1:
        names = ", ".join(file.name for file in files) or "none"
        raise TaskError(f"the folder {path} must hold exactly one .jsonl, .json or .parquet file; it has {names}")
    return files[0]


def _rows(file: Path) -> Iterator[tuple[int, Row]]:
    if file.suffix == ".parquet":
        yield from enumerate(_parquet(file), start=1)
    elif file.suffix == ".json":
        yield from _json(file)
    else:
        yield from read_jsonl(file, TaskError)


def _json(file: Path) -> Iterator[tuple[int, Row]]:
    data = read_json(file, TaskError)
    rows = data if isinstance(data, list) else [data]  # MATH comes as one object a file
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise TaskError(f"{file}, row {number}: expected a JSON object; got {str(row)[:60]!r}")
        yield number, row


def _parquet(file: Path) -> list[Row]:
    import pandas as pd

    try:
        return pd.read_parquet(file).to_dict("records")  # type: ignore[return-value]
    except ImportError as error:
        raise TaskError(f"{file} is parquet, which needs pyarrow: pip install pyarrow, or give JSONL") from error
    except (OSError, ValueError) as error:
        raise TaskError(f"cannot read {file}: {error}") from error

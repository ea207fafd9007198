"""The file that lists the pairs of a table."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from slr_probe.errors import StudyError
from slr_probe.files import safe_name
from slr_probe.study.toml import read_toml

_EXAMPLE = '[[pair]], then name = "...", base = "..." and tuned = "..."'


@dataclass(frozen=True)
class NamedPair:
    """One pair of a table.

    Attributes:
        name: Its name in the table, and of its folder.
        base: Base checkpoint: folder, hub id or `"organism:base"`.
        tuned: Tuned checkpoint: the same, or the folder of a LoRA adapter over base. A stage of post-training is a
            pair of its own.
    """

    name: str
    base: str
    tuned: str


def read_pairs(path: str | os.PathLike[str]) -> tuple[NamedPair, ...]:
    """Read the pairs of a TOML file, in its order.

    Raises:
        StudyError: It cannot be read, lists no pair, or one that lacks something, holds something else, or has the name
            of another or one that is no folder name.
    """
    file = Path(path)
    data = read_toml(file)
    entries = data.pop("pair", None)
    if data or not isinstance(entries, list) or not entries:
        raise StudyError(f"{file} is to list pairs and nothing else, each as {_EXAMPLE}")
    found = tuple(_read(entry, f"pair {i} of {file}") for i, entry in enumerate(entries, 1))
    twice = [name for name, count in Counter(pair.name.casefold() for pair in found).items() if count > 1]
    if twice:
        raise StudyError(f"{file} has several pairs named {', '.join(twice)}; each needs a name of its own")
    return found


def _read(entry: Any, where: str) -> NamedPair:
    wanted = [field.name for field in fields(NamedPair)]
    if not isinstance(entry, dict) or set(entry) != set(wanted):
        given = ", ".join(entry) if isinstance(entry, dict) else repr(entry)
        raise StudyError(f"{where} holds {given or 'nothing'}; expected {_EXAMPLE}")
    for key, value in entry.items():
        if not isinstance(value, str) or not value.strip():
            raise StudyError(f"{key} of {where} is {value!r}; expected text")
    name = entry["name"]
    if name != safe_name(name).lstrip("."):
        raise StudyError(f"name of {where} is {name!r}; as it names a folder, it holds letters, digits, - and _ only")
    return NamedPair(**entry)

"""Settings as a TOML file: read with the line of what is wrong, written so that it can be read again."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any

from slr_probe.errors import StudyError, one_line
from slr_probe.files import read_text


def read_toml(path: Path) -> dict[str, Any]:
    """Read a settings file.

    Raises:
        StudyError: It cannot be read or is not TOML; the message names the line.
    """
    text = read_text(path, StudyError)
    try:
        return dict(tomllib.loads(text))
    except (ValueError, RecursionError) as error:  # an integer of thousands of digits is no TOMLDecodeError
        raise StudyError(f"the settings file {path} is not TOML: {one_line(error)}") from error


def read_change(text: str) -> dict[str, dict[str, Any]]:
    """One setting as the command line spells it.

    Raises:
        StudyError: It is not `TABLE.KEY=VALUE`.

    Examples:
        >>> read_change("rank.floor=0.8")
        {'rank': {'floor': 0.8}}
    """
    name, equals, value = text.partition("=")
    table, dot, key = name.strip().partition(".")
    if not equals or not dot:
        raise StudyError(f"--set {text!r} is not TABLE.KEY=VALUE, such as rank.floor=0.8")
    return {table: {key: read_value(value)}}


def read_value(text: str) -> Any:
    """One value as TOML spells it; bare words are text.

    Examples:
        >>> read_value("0.8"), read_value("true"), read_value("8:14"), read_value('["qa"]')
        (0.8, True, '8:14', ['qa'])
    """
    try:
        found = tomllib.loads(f"value = {text}")
        return found["value"] if found.keys() == {"value"} else text.strip()
    except (ValueError, RecursionError):
        return text.strip()


def write_toml(
    tables: Mapping[str, Mapping[str, Any]], explained: Mapping[str, Mapping[str, str]] | None = None
) -> str:
    """Tables of text, numbers, truth values and lists of text, as TOML.

    Args:
        tables: The values, by table and key.
        explained: What they mean, written above each as a comment.

    Examples:
        >>> print(write_toml({"rank": {"floor": 0.9, "guards": True, "task": ""}}))
        [rank]
        floor = 0.9
        guards = true
        task = ""
        <BLANKLINE>
    """
    blocks = []
    for table, values in tables.items():
        notes = (explained or {}).get(table, {})
        blocks.append(f"[{table}]\n" + "".join(_line(key, value, notes.get(key, "")) for key, value in values.items()))
    return "\n".join(blocks)


def _line(key: str, value: Any, note: str) -> str:
    """One setting, below what it means."""
    above = "".join(f"# {line}\n" for line in wrap(note, 118, break_on_hyphens=False))
    # JSON's spelling of these values is TOML's; of text, DEL alone would need more care.
    return f"{above}{key} = {json.dumps(value, ensure_ascii=False)}\n"

"""Outputs as JSONL: one object a line, appended as samples end, read back with the line number of any fault."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slr_probe.errors import ResultError
from slr_probe.files import read_jsonl
from slr_probe.generation.outputs import Outputs
from slr_probe.generation.sampling import Sampling

SETTINGS = "settings.json"


def read_outputs(path: str | os.PathLike[str]) -> dict[str, Outputs]:
    """Outputs by model, from one JSONL file or from all `*.jsonl` of a folder.

    Each line is an object with `"id"` (of the prompt) and `"text"`; `"model"` (default: the file's name), `"prompt"`,
    `"sample"` (a number from 0; default: the order of the lines) and `"finished"` (default: true) may be left out, and
    anything else is ignored. Settings are read from `settings.json` beside the file, where `generate` left one.

    Raises:
        ResultError: There is no file, or a line is not UTF-8, not JSON or not an output; the message names the line.
    """
    path = Path(path)
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise ResultError(f"{path} holds no *.jsonl; give a file of outputs, or the folder that generate() wrote")
    found: dict[str, _Table] = {}
    for file in files:
        for number, row in read_jsonl(file):
            name = _text(row, "model", file, number, file.stem)
            found.setdefault(name, _Table(name)).add(row, file, number)
    if not found:
        raise ResultError(f"{path} holds no outputs")
    known = _settings(path if path.is_dir() else path.parent)
    return {name: table.outputs(known.get(name)) for name, table in found.items()}


class _Table:
    """Samples of one model, collected in any order of lines."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.prompts: dict[str, str] = {}
        self.samples: dict[str, dict[int, tuple[str, bool]]] = {}

    def add(self, row: Mapping[str, Any], file: Path, number: int) -> None:
        """Take one line."""
        name, text = _text(row, "id", file, number), _text(row, "text", file, number)
        prompt = _text(row, "prompt", file, number, self.prompts.get(name, ""))
        if self.prompts.setdefault(name, prompt) != prompt:
            raise ResultError(f"{file}, line {number}: prompt {name!r} of '{self.model}' has another text further up")
        samples = self.samples.setdefault(name, {})
        sample = row.get("sample", len(samples))
        if not isinstance(sample, int) or isinstance(sample, bool) or sample < 0:
            raise ResultError(f"{file}, line {number}: 'sample' must be a number from 0; got {sample!r}")
        if sample in samples:
            raise ResultError(f"{file}, line {number}: sample {sample} of prompt {name!r} is given twice")
        finished = row.get("finished", True)
        if not isinstance(finished, bool):
            raise ResultError(f"{file}, line {number}: 'finished' must be true or false; got {finished!r}")
        samples[sample] = (text, finished)

    def outputs(self, sampling: Sampling | None) -> Outputs:
        """All of it, samples in order."""
        ordered = [[samples[k] for k in sorted(samples)] for samples in self.samples.values()]
        return Outputs(
            self.model,
            tuple(self.samples),
            tuple(self.prompts[name] for name in self.samples),
            tuple(tuple(text for text, _ in row) for row in ordered),
            tuple(tuple(ended for _, ended in row) for row in ordered),
            sampling,
        )


def _text(row: Mapping[str, Any], field: str, file: Path, number: int, default: str | None = None) -> str:
    value = row.get(field, default)
    if field == "id" and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        found = "is missing" if field not in row else f"is {value!r}"
        raise ResultError(f"{file}, line {number}: '{field}' must be text, but {found}")
    return value


def _settings(folder: Path) -> dict[str, Sampling]:
    try:
        data = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        return {name: Sampling.from_dict(entry["sampling"]) for name, entry in data["models"].items()}
    except OSError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResultError(f"{folder / SETTINGS} is not a settings file of generate(): {error}") from error

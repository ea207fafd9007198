"""`read_logs`: outputs from a file or folder, whoever wrote it."""

from __future__ import annotations

import os
from itertools import chain
from pathlib import Path

from slr_probe.errors import ResultError
from slr_probe.files import read_jsonl
from slr_probe.generation.logs.inspect_log import newest, read_inspect
from slr_probe.generation.logs.lm_eval import is_lm_eval, latest, read_lm_eval
from slr_probe.generation.logs.log import Log
from slr_probe.generation.outputs import LISTS, SETTINGS, read_outputs

_INSPECT = (".eval", ".json")
_EXAMPLE = '{"prompt": "Name a colour.", "outputs": ["red", "blue"]}'
_ENDINGS = (".jsonl", *_INSPECT)


def read_logs(path: str | os.PathLike[str]) -> list[Log]:
    """Outputs of every model and task in a file or folder.

    Read are: JSONL of `generate`; JSONL with a list of texts for each prompt; sample logs of lm-eval
    (`samples_TASK_DATE.jsonl`; of a folder, the newest of each task); logs of Inspect (`.eval`, `.json`; of a folder,
    the newest of each model and task).

    Raises:
        ResultError: There is nothing to read, or a file is none of these or malformed.
    """
    path = Path(path)
    if not path.is_dir():
        return _read_file(path)
    if (path / SETTINGS).is_file():
        return [Log(outputs) for outputs in read_outputs(path).values()]
    lines = sorted(path.glob("*.jsonl"))
    foreign = {file for file in lines if is_lm_eval(_first(file))}
    files = [*latest(sorted(foreign)), *(file for file in lines if file not in foreign)]
    inspected = [*path.glob("*.eval"), *([] if lines else path.glob("*.json"))]
    logs = [*(log for file in files for log in _read_file(file)), *newest(inspected)]
    if not logs:
        raise ResultError(
            f"{path} holds no *.jsonl and no log of Inspect; give a file of outputs, or the folder that holds them"
        )
    return logs


def holds_outputs(path: str | os.PathLike[str]) -> bool:
    """Whether a name stands for saved outputs and not for a model: a folder without config, or a file by its end."""
    path = Path(path)
    return not any(path.glob("*config.json")) if path.is_dir() else path.suffix in _ENDINGS


def _read_file(file: Path) -> list[Log]:
    if file.suffix in _INSPECT:
        return [read_inspect(file)]
    rows = read_jsonl(file)
    number, first = next(rows, (0, {}))
    if not first:
        raise ResultError(f"{file} holds no outputs")
    if is_lm_eval(first):
        return [read_lm_eval(file, chain([(number, first)], rows))]
    if "text" in first or any(name in first for name in LISTS):
        return [Log(outputs, ends="text" in first) for outputs in read_outputs(file).values()]
    raise ResultError(
        f"{file}, line {number}: not a line of outputs; expected one that `generate` or lm-eval writes, or {_EXAMPLE}"
    )


def _first(file: Path) -> dict[str, object]:
    """The first line."""
    return next(read_jsonl(file), (0, {}))[1]

"""Sample logs of EleutherAI's lm-evaluation-harness (`--log_samples`): `samples_TASK_DATE.jsonl` in a model's folder.

A line is one document under one filter: `doc_id`, `doc_hash`, `arguments`, `resps` (for each request, its repeats),
`filter`, the names of `metrics`, and their values. Texts are taken from `resps`, as no filter has touched them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from slr_probe.errors import ResultError, foreign
from slr_probe.generation.logs.log import Log
from slr_probe.generation.outputs import Outputs

_NAME = re.compile(r"samples_(?P<task>.+?)_(?P<date>\d{4}-\d\d-\d\dT[\d.-]+)$")
_PLAIN = "none"  # the filter of tasks without filters


def is_lm_eval(row: Mapping[str, Any]) -> bool:
    """Whether a line is one of lm-eval's."""
    return {"doc_id", "resps", "arguments"} <= row.keys()


def latest(files: Iterable[Path]) -> list[Path]:
    """The newest of a folder's sample logs of each task."""
    newest: dict[str, tuple[str, Path]] = {}
    for file in files:
        found = _NAME.match(file.stem)
        task, date = (found["task"], found["date"]) if found else (file.stem, "")
        newest[task] = max(newest.get(task, ("", file)), (date, file))
    return [file for _, file in newest.values()]


def read_lm_eval(file: Path, rows: Iterable[tuple[int, Mapping[str, Any]]]) -> Log:
    """The log of one model on one task.

    Args:
        file: The file, whose name says the task and whose folder says the model.
        rows: Its lines.

    Raises:
        ResultError: A line without what lm-eval writes; it is named.
    """
    prompts: dict[str, str] = {}
    texts: dict[str, tuple[str, ...]] = {}
    scores: dict[tuple[str, str], dict[str, float]] = {}
    for number, row in rows:
        with foreign(ResultError, f"{file}, line {number}: not a sample of lm-eval"):
            name = "-".join([str(row["doc_id"]), *filter(None, [str(row.get("doc_hash") or "")[:8]])])
            prompts[name], texts[name] = _prompt(row), _texts(row)
            for metric in row.get("metrics", ()):
                scores.setdefault((metric, str(row.get("filter", _PLAIN))), {})[name] = _number(row.get(metric))
    found = _NAME.match(file.stem)
    ended = tuple((True,) * len(row) for row in texts.values())
    outputs = Outputs(_model(file), tuple(prompts), tuple(prompts.values()), tuple(texts.values()), ended)
    named = {
        metric if kind == _PLAIN else f"{metric} ({kind})": tuple(values.get(name, math.nan) for name in prompts)
        for (metric, kind), values in scores.items()
    }
    known = {metric: values for metric, values in named.items() if any(map(math.isfinite, values))}
    hashed = all("-" in name for name in prompts)
    return Log(outputs, found["task"] if found else file.stem, known, hashed, ends=False)


def _prompt(row: Mapping[str, Any]) -> str:
    """What the model was given, template and examples included."""
    arguments = row["arguments"]
    first = arguments["gen_args_0"]["arg_0"] if isinstance(arguments, Mapping) else arguments[0][0]
    return first if isinstance(first, str) else str(first)


def _texts(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The repeats of the one request; none where choices were scored instead."""
    requests = row["resps"]
    if len(requests) != 1 or not all(isinstance(text, str) for text in requests[0]):
        return ()
    return tuple(requests[0])


def _number(value: Any) -> float:
    """A score; NaN where a metric is not one number for each document."""
    return float(value) if isinstance(value, (bool, int, float)) else math.nan


def _model(file: Path) -> str:
    """`org/name`, which lm-eval writes as the folder `org__name`."""
    return file.absolute().parent.name.replace("__", "/")

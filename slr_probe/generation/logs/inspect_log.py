"""Logs of the UK AI Security Institute's Inspect: `.eval` (a zip with one JSON a sample), or the whole log as `.json`.

A sample is one epoch of a question; the epochs, and several choices of one call, are its outputs.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from slr_probe.errors import ResultError, foreign
from slr_probe.files import read_json
from slr_probe.generation.logs.log import Log
from slr_probe.generation.outputs import Outputs

_CUT = ("max_tokens", "model_length", "length")
"""Reasons to stop that are not the model's own."""
_UNTOLD = ("unknown", None)
"""What stands there where a provider does not say why it stopped, as Inspect's `hf` does not."""
_GRADES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
"""Inspect's correct, partial, incorrect, no answer, in its own values."""
_ATTACHED = "attachment://"
_MOST = 1 << 30  # bytes of a log once it is unpacked


def is_inspect(data: Any) -> bool:
    """Whether JSON is a log of Inspect."""
    return isinstance(data, Mapping) and isinstance(data.get("eval"), Mapping) and "task" in data["eval"]


def newest(files: Iterable[Path]) -> list[Log]:
    """Of each model and task the newest log that has outputs; names begin with the time. Other JSON is passed over.

    Raises:
        ResultError: A file is damaged, or packed in a way that this Python cannot unpack.
    """
    found: dict[tuple[str, str], Log] = {}
    for file in sorted(files, key=lambda one: one.name):
        header, samples = _open(file)
        if is_inspect(header):
            log = _read(file, header, samples)
            key = (log.outputs.model, log.task)
            if len(log.outputs) or key not in found:
                found[key] = log
    return list(found.values())


def read_inspect(file: Path) -> Log:
    """The log of one model on one task.

    Raises:
        ResultError: The file is damaged, no log of Inspect, or packed in a way that this Python cannot unpack.
    """
    return _read(file, *_open(file))


def _read(file: Path, header: Any, samples: Iterable[Any]) -> Log:
    if not is_inspect(header):
        raise ResultError(f"{file} is not a log of Inspect: it has no 'eval' that names a task")
    with foreign(ResultError, f"{file}: a sample is not as Inspect writes it"):
        return _log(header["eval"], list(samples))


def _log(spec: Mapping[str, Any], samples: list[Mapping[str, Any]]) -> Log:
    kept = [sample for sample in samples if _choices(sample) and not sample.get("error")]
    kept.sort(key=lambda sample: int(sample.get("epoch", 1)))
    prompts: dict[str, str] = {}
    texts: dict[str, list[str]] = {}
    ended: dict[str, list[bool]] = {}
    scores: dict[str, dict[str, list[float]]] = {}
    for sample in kept:
        name = str(sample["id"])
        prompts.setdefault(name, _input(sample))
        for choice in _choices(sample):
            texts.setdefault(name, []).append(_text(choice["message"]["content"], sample))
            ended.setdefault(name, []).append(choice.get("stop_reason") not in _CUT)
        for scorer, score in (sample.get("scores") or {}).items():
            scores.setdefault(scorer, {}).setdefault(name, []).append(_grade(score["value"]))
    outputs = Outputs(
        _model(spec),
        tuple(prompts),
        tuple(prompts.values()),
        tuple(tuple(texts[name]) for name in prompts),
        tuple(tuple(ended[name]) for name in prompts),
    )
    means = {scorer: tuple(_mean(by.get(name, [])) for name in prompts) for scorer, by in scores.items()}
    known = {scorer: values for scorer, values in means.items() if any(map(math.isfinite, values))}
    lost = len(samples) - len(kept)
    notes = (f"{outputs.model}: {lost} of {len(samples)} samples have no output and were left out",) if lost else ()
    told = all(choice.get("stop_reason") not in _UNTOLD for sample in kept for choice in _choices(sample))
    return Log(outputs, str(spec["task"]), known, ends=told, notes=notes)


def _model(spec: Mapping[str, Any]) -> str:
    """Name of the model: of `hf/local`, as of other providers that load a folder, the last part of its path."""
    name = str(spec.get("model", "model"))
    if not name.endswith("/local"):
        return name
    return Path(str((spec.get("model_args") or {}).get("model_path", ""))).name or name


def _choices(sample: Mapping[str, Any]) -> list[Any]:
    return list((sample.get("output") or {}).get("choices") or ())


def _input(sample: Mapping[str, Any]) -> str:
    """The question: a text, or the last message of the user."""
    given = sample["input"]
    if isinstance(given, str):
        return _attached(given, sample)
    asked = [message for message in given if message.get("role") == "user"] or list(given)
    return _text(asked[-1]["content"], sample)


def _text(content: Any, sample: Mapping[str, Any]) -> str:
    """The text of a message; reasoning, which is a part of its own, is left out."""
    if isinstance(content, str):
        return _attached(content, sample)
    return "\n".join(_attached(part["text"], sample) for part in content if part.get("type") == "text")


def _attached(text: str, sample: Mapping[str, Any]) -> str:
    """A long text stands elsewhere in the sample, under its hash."""
    return str((sample.get("attachments") or {}).get(text.removeprefix(_ATTACHED), text))


def _grade(value: Any) -> float:
    if isinstance(value, str):
        return _GRADES.get(value, math.nan)
    return float(value) if isinstance(value, (bool, int, float)) else math.nan


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _open(file: Path) -> tuple[Any, Iterable[Any]]:
    return _open_zip(file) if file.suffix == ".eval" else _open_json(file)


def _open_json(file: Path) -> tuple[Any, list[Any]]:
    data = read_json(file)
    return data, list(data.get("samples") or ()) if isinstance(data, Mapping) else []


def _open_zip(file: Path) -> tuple[Any, Iterator[Any]]:
    with suppress(ImportError):  # before Python 3.14, Inspect itself brings what unpacks its logs
        import zipfile_zstd  # type: ignore[import-not-found]  # noqa: F401
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if size > _MOST:
                raise ResultError(f"{file} unpacks to {size:,} bytes; {_MOST:,} are read at most")
            names = [name for name in archive.namelist() if name.startswith("samples/") and name.endswith(".json")]
            head = "header.json" if "header.json" in archive.namelist() else "_journal/start.json"
            return json.loads(archive.read(head)), iter([json.loads(archive.read(name)) for name in names])
    except NotImplementedError as fault:
        raise ResultError(
            f"{file} is packed with zstandard, which this Python cannot unpack: `pip install zipfile-zstd`, or write "
            "it as JSON with `inspect log convert --to json`"
        ) from fault
    except OSError as fault:
        raise ResultError(f"cannot read {file}: {fault.strerror or fault}") from fault
    except (zipfile.BadZipFile, ValueError, KeyError, RecursionError) as fault:
        raise ResultError(f"{file} is not a log of Inspect, or is damaged: {fault}") from fault

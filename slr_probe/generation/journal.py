"""Outputs on disk while they are written: one JSONL a model, and one `settings.json` that says how all were made."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from slr_probe.errors import GenerationError, ResultError, foreign
from slr_probe.files import append_jsonl, digest, drop_partial_line, read_jsonl, write_json
from slr_probe.generation.outputs import SETTINGS
from slr_probe.store import Store, differences

_FORMAT = "slr_probe.outputs/1"


class Journal:
    """The outputs of one model in a folder; opened again, it goes on where it stopped.

    Attributes:
        path: The JSONL file.
        done: Text and end of every sample that is there, by prompt id and number of the sample.
        prompts: Text of every prompt that is there.
        rendered: Hash of the token ids of every prompt that is there; absent in files of older versions.
    """

    def __init__(self, folder: Path, model: str, made: Mapping[str, Any], versions: Mapping[str, str]) -> None:
        """Open or make it.

        Args:
            folder: Where.
            model: Name of the model.
            made: All that decides what the samples are; must equal that of what is there.
            versions: Of the libraries; recorded, not compared.

        Raises:
            GenerationError: The file was made with other settings or checkpoints, or its settings are lost.
            ResultError: A line is malformed.
            OutputError: The folder cannot be written.
        """
        self.path = folder / f"{file_stem(model)}.jsonl"
        self.model = model
        self.done: dict[tuple[str, int], tuple[str, bool]] = {}
        self.prompts: dict[str, str] = {}
        self.rendered: dict[str, str] = {}
        _register(_store(folder), self.path, model, made, versions)
        if self.path.exists():
            drop_partial_line(self.path)
            for number, row in read_jsonl(self.path):
                self._take(row, number)

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add finished samples; they are handed to the system before this returns.

        Raises:
            OutputError: They cannot be written.
        """
        append_jsonl(self.path, rows)

    def _take(self, row: Mapping[str, Any], number: int) -> None:
        with foreign(ResultError, f"{self.path}, line {number}: not a line that generate() wrote"):
            name, sample, text, prompt = str(row["id"]), int(row["sample"]), str(row["text"]), str(row["prompt"])
            self.done[name, sample] = (text, bool(row["finished"]))
        self.prompts[name] = prompt
        if "rendered" in row:
            self.rendered[name] = str(row["rendered"])

    def check_prompts(self, prompts: Iterable[tuple[str, str]], rendered: Mapping[str, Sequence[int]]) -> None:
        """Check that prompts which are there under the same id have the same text and the same token ids.

        Raises:
            GenerationError: One has others.
        """
        for name, prompt in prompts:
            if self.prompts.get(name, prompt) != prompt:
                raise GenerationError(
                    f"{self.path} has outputs for another prompt {name!r}: {self.prompts[name]!r}, now {prompt!r}; "
                    "give another folder"
                )
            mark = hash_ids(rendered[name])
            if self.rendered.get(name, mark) != mark:
                raise GenerationError(
                    f"{self.path} has outputs for other token ids of prompt {name!r}: the chat template or tokenizer "
                    "renders it otherwise than it did; give another folder"
                )


def hash_ids(ids: Sequence[int]) -> str:
    """A short hash of the token ids of a prompt."""
    return digest(list(ids))[:16]


def file_stem(model: str) -> str:
    """A file name for a model's name; different names get different files, also where case does not matter."""
    plain = re.sub(r"[^A-Za-z0-9._+-]+", "_", model).strip("._") or "model"
    if plain == model and model == model.lower():
        return plain
    return f"{plain[:80]}-{digest(model.encode('utf-8', 'surrogatepass'))[:6]}"


def held(out: str | os.PathLike[str] | None) -> AbstractContextManager[None]:
    """Hold a folder of outputs, so that no second process adds the same samples; without a folder, do nothing.

    Raises:
        OutputError: Another process holds it, or it cannot be written.
    """
    return nullcontext() if out is None else _store(Path(out)).locked()


def _store(folder: Path) -> Store:
    return Store(folder, SETTINGS, what="set of outputs", error=GenerationError)


def _register(store: Store, path: Path, model: str, made: Mapping[str, Any], versions: Mapping[str, str]) -> None:
    """Write down how the outputs of one model are made, or compare it with how those in the folder were made."""
    data = store.request() or {"format": _FORMAT, "models": {}}
    if data.get("format") != _FORMAT or not isinstance(data.get("models"), dict):
        raise GenerationError(f"{store.manifest} is not a settings file of generate(); give another folder")
    entry = {"file": path.name, **json.loads(json.dumps(made))}
    known = data["models"].get(model)
    if known is None and path.exists() and path.stat().st_size:
        raise GenerationError(f"{path} exists but {store.manifest} does not say how it was made; give another folder")
    if known is not None and known != entry:
        differing = differences(known, entry)
        raise GenerationError(
            f"{path} was made with other settings ({differing}); give another folder, or take the file away"
        )
    data["models"][model] = entry
    data["versions"] = dict(versions)
    write_json(store.manifest, data)


def library_versions(backend: str) -> dict[str, str]:
    """Versions of the libraries that outputs are made with."""
    versions = {}
    for package in ("slr-probe", "torch", "transformers", *(("vllm",) if backend != "hf" else ())):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # a source tree that is not installed
            versions[package] = "unknown"
    return versions

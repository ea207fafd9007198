"""`Outputs`: what one model wrote for a list of prompts; as JSONL, one object a line, and read back from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slr_probe.errors import GenerationError, ResultError, one_line
from slr_probe.files import json_line, read_json, read_jsonl, write_text
from slr_probe.generation.sampling import Sampling

if TYPE_CHECKING:
    import pandas as pd


SETTINGS = "settings.json"
LISTS = ("outputs", "generations", "responses", "completions")
"""Names that a list of all texts of a prompt goes by."""


@dataclass(frozen=True)
class Outputs:
    """What one model wrote: for each prompt, the texts of its samples. Saved as JSONL, one line a sample.

    Attributes:
        model: Name of the model.
        ids: One for each prompt, all different.
        prompts: The user messages.
        texts: For each prompt, its samples.
        finished: Whether each sample ended by itself; False where it ran into the limit of tokens.
        sampling: How they were drawn; None where that is not known, as in files of others.

    Raises:
        GenerationError: Fields differ in length, or two prompts share an id.
    """

    model: str
    ids: tuple[str, ...]
    prompts: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    finished: tuple[tuple[bool, ...], ...]
    sampling: Sampling | None = None

    def __post_init__(self) -> None:
        sizes = {len(self.ids), len(self.prompts), len(self.texts), len(self.finished)}
        if len(sizes) != 1:
            raise GenerationError(
                f"outputs of '{self.model}' need one prompt, and one list of texts and of ends, for each of "
                f"{len(self.ids)} ids; got {len(self.prompts)}, {len(self.texts)} and {len(self.finished)}"
            )
        if len(set(self.ids)) != len(self.ids):
            twice = next(name for name in self.ids if self.ids.count(name) > 1)
            raise GenerationError(f"two prompts of '{self.model}' share the id {twice!r}")
        if any(len(a) != len(b) for a, b in zip(self.texts, self.finished, strict=True)):
            raise GenerationError(f"outputs of '{self.model}' need one mark of the end for each text")

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        first = next((text for texts in self.texts for text in texts), "")
        return f"Outputs({self.model!r}, {len(self)} prompts x {self.samples} samples, first {one_line(first, 40)!r})"

    @property
    def samples(self) -> int:
        """Samples a prompt; the fewest where prompts differ."""
        return min((len(texts) for texts in self.texts), default=0)

    def map(self, change: Callable[[str], str]) -> Outputs:
        """The same outputs with every text changed, for example to strip a model's thinking."""
        return replace(self, texts=tuple(tuple(change(text) for text in texts) for texts in self.texts))

    def select(self, ids: Sequence[str], samples: int | None = None) -> Outputs:
        """The outputs of some prompts, in the given order, and of their first `samples` samples.

        Raises:
            GenerationError: An id is not among them.
        """
        place = {name: i for i, name in enumerate(self.ids)}
        missing = [name for name in ids if name not in place]
        if missing:
            raise GenerationError(f"'{self.model}' has no outputs for prompt {missing[0]!r}")
        rows = [place[name] for name in ids]
        return replace(
            self,
            ids=tuple(ids),
            prompts=tuple(self.prompts[i] for i in rows),
            texts=tuple(self.texts[i][:samples] for i in rows),
            finished=tuple(self.finished[i][:samples] for i in rows),
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row a sample: model, id, prompt, sample, text, finished."""
        import pandas as pd

        return pd.DataFrame(self.rows(), columns=["model", "id", "prompt", "sample", "text", "finished"])

    def rows(self) -> list[dict[str, object]]:
        """One plain dictionary a sample, as it is written to JSONL."""
        return [
            {"model": self.model, "id": name, "prompt": prompt, "sample": k, "text": text, "finished": ended}
            for name, prompt, texts, ends in zip(self.ids, self.prompts, self.texts, self.finished, strict=True)
            for k, (text, ended) in enumerate(zip(texts, ends, strict=True))
        ]

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write all samples as JSONL; the file appears complete or not at all. Read it with `read_outputs`.

        Raises:
            OutputError: The file cannot be written.
        """
        return write_text(Path(path), "".join(map(json_line, self.rows())))


def read_outputs(path: str | os.PathLike[str]) -> dict[str, Outputs]:
    """Outputs by model, from one JSONL file or from all `*.jsonl` of a folder.

    Each line is an object with `"id"` (of the prompt) and `"text"`; `"model"` (default: the file's name), `"prompt"`,
    `"sample"` (a number from 0; default: the order of the lines) and `"finished"` (default: true) may be left out, and
    anything else is ignored. A line without `"text"` may hold all outputs of its prompt as a list of texts under
    `"outputs"`, `"generations"`, `"responses"` or `"completions"`, as other tools write them; its `"id"` may be left
    out where it has a `"prompt"`. Settings are read from `settings.json` beside the file, where `generate` left one.

    Raises:
        ResultError: There is no file, or a line is not UTF-8, not JSON or not an output; the message names the line.
    """
    path = Path(path)
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise ResultError(f"{path} holds no *.jsonl; give a file of outputs, or the folder that generate() wrote")
    tables: dict[str, _Table] = {}
    for file in files:
        for number, line in read_jsonl(file):
            name = _text(line, "model", file, number, file.stem)
            for row in _one_each(line, file, number):
                tables.setdefault(name, _Table(name)).add(row, file, number)
    if not tables:
        raise ResultError(f"{path} holds no outputs")
    known = _settings(path if path.is_dir() else path.parent)
    return {name: table.outputs(known.get(name)) for name, table in tables.items()}


def _one_each(line: Mapping[str, Any], file: Path, number: int) -> list[Mapping[str, Any]]:
    """A line, or one for each text of the list that it holds."""
    found = [name for name in LISTS if isinstance(line.get(name), list)]
    if "text" in line or not found:
        return [line]
    texts = line[found[0]]
    if len(found) > 1 or not texts or not all(isinstance(text, str) for text in texts):
        raise ResultError(
            f"{file}, line {number}: '{found[0]}' must be a list of texts, and the only one; or give each output a "
            "line of its own with 'text'"
        )
    named = {"id": f"line-{number}", **line} if "prompt" in line else line
    return [{**named, "text": text, "sample": k} for k, text in enumerate(texts)]


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
        fault = "is missing" if field not in row else f"is {value!r}"
        raise ResultError(f"{file}, line {number}: '{field}' must be text, but {fault}")
    return value


def _settings(folder: Path) -> dict[str, Sampling]:
    if not (folder / SETTINGS).is_file():
        return {}
    data = read_json(folder / SETTINGS)
    try:
        return {name: Sampling.from_dict(entry["sampling"]) for name, entry in data["models"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResultError(f"{folder / SETTINGS} is not a settings file of generate(): {error}") from error

"""`Outputs`: what one model wrote for a list of prompts."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from slr_probe.errors import GenerationError
from slr_probe.files import json_line, write_text
from slr_probe.generation.sampling import Sampling

if TYPE_CHECKING:
    import pandas as pd


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

"""`Asked`: what one call of `generate` asks for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from slr_probe.errors import GenerationError
from slr_probe.generation.sampling import Sampling
from slr_probe.generation.sources import Model
from slr_probe.pair.prompts import Format

_MOST = 1 << 20  # samples a prompt


@dataclass(frozen=True)
class Asked:
    """Samples of some models for some prompts; each field is as `generate` takes it.

    Attributes:
        prompts: Id and user message of each.
        models: What writes.
        samples: Outputs a prompt.
        sampling: How tokens are drawn.
        format: Prompt format; None for the pair's.
        out: Folder of the outputs; None for none.

    Raises:
        GenerationError: No prompts, two of one id, or a number of samples that cannot be.
    """

    prompts: Sequence[tuple[str, str]]
    models: Mapping[str, Model] | Iterable[Model] | Model
    samples: int
    sampling: Sampling
    format: Format | None = None
    out: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompts", tuple(_pairs(self.prompts)))
        if not 1 <= self.samples <= _MOST:
            raise GenerationError(f"samples must be at least 1, and {_MOST} at most; got {self.samples}")


def _pairs(prompts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    try:
        pairs = [(name, text) for name, text in prompts]
    except (TypeError, ValueError) as error:
        raise GenerationError("prompts must be pairs of an id and a user message, such as ('1', 'Hello')") from error
    if not pairs:
        raise GenerationError("no prompts to generate for; give pairs of an id and a user message")
    for name, text in pairs:
        if not isinstance(name, str) or not isinstance(text, str):
            raise GenerationError(f"a prompt is a pair of two texts, its id and the message; got {(name, text)!r}")
    ids = [name for name, _ in pairs]
    if len(set(ids)) != len(ids):
        raise GenerationError(f"two prompts share the id {next(i for i in ids if ids.count(i) > 1)!r}")
    return pairs


def check_batch(batch_tokens: int | None) -> None:
    """Check the bound on a batch.

    Raises:
        GenerationError: It is no positive number.
    """
    if batch_tokens is not None and batch_tokens < 1:
        raise GenerationError(f"batch_tokens must be at least 1; got {batch_tokens}")

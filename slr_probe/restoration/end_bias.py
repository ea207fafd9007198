"""End bias in generation settings, on disk and in memory: `sequence_bias` of transformers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from slr_probe.end_bias import EndBias
from slr_probe.errors import CheckpointError, RecipeError
from slr_probe.files import read_json

GENERATION = "generation_config.json"
_FIELD = "sequence_bias"


def biased_config(source: Path, bias: Mapping[int, float]) -> str:
    """Generation settings with the bias added to what they hold, as text.

    Raises:
        CheckpointError: They cannot be read, or hold a bias of another form.
    """
    settings = read_json(source, CheckpointError)
    known = settings.get(_FIELD) or [] if isinstance(settings, dict) else None
    if not isinstance(known, list):
        raise CheckpointError(f"{source} has no list of biases in {_FIELD!r}, so none can be added")
    added = [[[token], value] for token, value in sorted(bias.items())]
    return json.dumps({**settings, _FIELD: [*known, *added]}, indent=2) + "\n"


def write_end_bias(folder: Path, bias: Mapping[int, float]) -> None:
    """Add the bias to the generation settings of a hybrid.

    Raises:
        CheckpointError: Tuned has no generation settings, or they cannot be read.
    """
    if not (folder / GENERATION).is_file():
        raise CheckpointError(
            f"an end bias is written into {GENERATION}, which tuned does not have; add one that is {{}}"
        )
    text = biased_config(folder / GENERATION, bias)
    (folder / GENERATION).unlink()  # it may be a link to tuned's
    (folder / GENERATION).write_text(text, encoding="utf-8")


def read_end_bias(folder: Path) -> dict[int, float]:
    """The bias on single tokens in the generation settings of a folder; empty where there is none.

    Raises:
        CheckpointError: They cannot be read.
    """
    if not (folder / GENERATION).is_file():
        return {}
    settings = read_json(folder / GENERATION, CheckpointError)
    known = settings.get(_FIELD) or [] if isinstance(settings, dict) else []
    found: dict[int, float] = {}
    for tokens, value in known if isinstance(known, list) else []:
        if len(tokens) == 1:
            found[int(tokens[0])] = found.get(int(tokens[0]), 0.0) + float(value)
    return found


@contextmanager
def biased(model: Any, bias: EndBias) -> Iterator[None]:
    """Add the bias to the generation settings of a model in memory, for the length of a `with` block.

    Raises:
        RecipeError: The model has no generation settings.
    """
    settings = getattr(model, "generation_config", None)
    if not bias:
        yield
        return
    if settings is None:
        raise RecipeError("an end bias acts through generation settings, which this model does not have")
    before = settings.sequence_bias
    known = before.items() if isinstance(before, dict) else before or []
    settings.sequence_bias = [*([list(tokens), value] for tokens, value in known), *([[t], value] for t, value in bias)]
    try:
        yield
    finally:
        settings.sequence_bias = before

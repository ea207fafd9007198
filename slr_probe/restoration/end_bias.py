"""End bias on disk: numbers that generation adds to the logits of end tokens, as `sequence_bias` of transformers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slr_probe.errors import CheckpointError, RecipeError
from slr_probe.files import read_json

GENERATION = "generation_config.json"
_FIELD = "sequence_bias"


def check_end_bias(bias: Any) -> dict[int, float]:
    """A bias a token id, in nats.

    Raises:
        RecipeError: It is no mapping from token ids to finite numbers.
    """
    if bias is None:
        return {}
    if not isinstance(bias, Mapping) or not all(_whole(token) and _finite(value) for token, value in bias.items()):
        raise RecipeError(
            f"end_bias maps ids of end tokens to what is added to their logits, as in {{2: 1.5}}; got {bias!r}"
        )
    return {int(token): float(value) for token, value in bias.items()}


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


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)

"""Hybrids as checkpoint folders, for a backend that loads models from disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slr_probe.errors import CheckpointError, ValidationError
from slr_probe.files import read_json, safe_name
from slr_probe.pair.side import require_checkpoint
from slr_probe.recipe import Recipe
from slr_probe.restoration.extras import RECORD
from slr_probe.validation.methods import Method

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair

BACKENDS = ("hf", "vllm")


def check_backend(pair: ModelPair, backend: str, out: str | os.PathLike[str] | None) -> None:
    """Check that all models of a validation can be given to the backend.

    Raises:
        ValidationError: An unknown backend; or vLLM without a folder to build hybrids in, or with a model in memory.
        GenerationError: vLLM is not installed.
    """
    if backend not in BACKENDS:
        raise ValidationError(f"unknown backend {backend!r}; expected {' or '.join(map(repr, BACKENDS))}")
    if backend == "hf":
        return
    if out is None:
        raise ValidationError("backend='vllm' loads hybrids from disk; give out, the folder that they are built in")
    for side in (pair.base_side, pair.tuned_side):
        if side.path is None:
            raise ValidationError(f"backend='vllm' loads checkpoint folders; {side.role} is {side.label}")
    from slr_probe.generation.vllm import load_vllm

    load_vllm()


def on_disk(pair: ModelPair, methods: Sequence[Method], home: Path, progress: bool | None) -> list[Method]:
    """The methods with the folder of each hybrid, built in `home` where it is not there yet; equal recipes share one.

    A tuned side that is an adapter is merged in the same way.

    Raises:
        OutputError: A folder holds something else, or cannot be written.
    """
    folders: dict[Recipe, Path] = {}
    found = []
    for method in methods:
        recipe = method.recipe
        if recipe is None or (recipe.is_tuned and not pair.has_adapter):
            found.append(method)
            continue
        if recipe not in folders:
            folders[recipe] = _built(pair, recipe, home / safe_name(method.name), progress)
        found.append(replace(method, folder=folders[recipe]))
    return found


def _built(pair: ModelPair, recipe: Recipe, folder: Path, progress: bool | None) -> Path:
    from slr_probe.restoration.disk import restore

    if (folder / RECORD).is_file() and _holds(folder, pair, recipe):
        return folder
    base, tuned = pair.base_side, pair.tuned_side
    assert base.path is not None
    assert tuned.path is not None
    trust = base.trust_remote_code or tuned.trust_remote_code
    return restore(base.path, tuned.path, recipe, folder, trust_remote_code=trust, progress=progress)


def _holds(folder: Path, pair: ModelPair, recipe: Recipe) -> bool:
    """Whether the folder, which is complete if it is there, is this hybrid of this pair."""
    record: Any = read_json(folder / RECORD, CheckpointError)
    sides = (pair.base_side, pair.tuned_side)
    return bool(record["recipe"] == recipe.to_dict()) and all(
        record[side.role]["fingerprint"] == require_checkpoint(side).fingerprint() for side in sides
    )

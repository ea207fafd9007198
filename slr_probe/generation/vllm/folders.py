"""Models as checkpoint folders, for those that a live engine cannot become."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from slr_probe.checkpoint import AdapterCheckpoint
from slr_probe.errors import CheckpointError, GenerationError
from slr_probe.files import digest, read_json, safe_name
from slr_probe.generation.sources import Source
from slr_probe.pair.side import require_checkpoint
from slr_probe.recipe import Recipe
from slr_probe.restoration import restore
from slr_probe.restoration.extras import RECORD

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair


def check_on_disk(pair: ModelPair) -> None:
    """Check that both sides of a pair are checkpoint folders.

    Raises:
        GenerationError: One is a model in memory.
    """
    for side in (pair.base_side, pair.tuned_side):
        if side.path is None:
            raise GenerationError(f"backend='vllm' loads checkpoint folders; {side.role} is {side.label}")


def folder_of(pair: ModelPair, source: Source, home: Path, progress: bool | None) -> Path:
    """The checkpoint folder of a model; a hybrid, or an adapter, is first restored in `home` where it is not there yet.

    Raises:
        OutputError: The folder of the hybrid holds something else, or cannot be written.
    """
    if isinstance(source.what, Path):
        return source.what
    side = pair.base_side if source.what == "base" else pair.tuned_side
    if isinstance(source.what, str) and not isinstance(side.checkpoint, AdapterCheckpoint):
        assert side.path is not None
        return side.path
    recipe = source.what if isinstance(source.what, Recipe) else Recipe.tuned(pair.depth)
    content = {**recipe.to_dict(), "name": ""}
    return _built(pair, recipe, home / f"{safe_name(str(recipe))[:60]}-{digest(content)[:6]}", progress)


def _built(pair: ModelPair, recipe: Recipe, folder: Path, progress: bool | None) -> Path:
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
    return bool(Recipe.from_dict(record["recipe"]) == recipe) and all(
        record[side.role]["fingerprint"] == require_checkpoint(side).fingerprint() for side in sides
    )

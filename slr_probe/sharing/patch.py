"""A hybrid as a patch: the tensors that are not tuned's, in one file, to be put into tuned by whoever has it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from slr_probe.checkpoint import AnyCheckpoint
from slr_probe.checkpoint.shard import Shard, TensorInfo, header
from slr_probe.errors import CheckpointError, OutputError, RecipeError
from slr_probe.files import write_whole
from slr_probe.pair.open import open_sides
from slr_probe.pair.side import Side, require_checkpoint
from slr_probe.recipe import Recipe, as_recipe
from slr_probe.restoration.card import public_name
from slr_probe.restoration.disk import origin
from slr_probe.restoration.plan import Step, plan_hybrid
from slr_probe.restoration.stream import hybrid_pieces
from slr_probe.restoration.write import Hybrid, write_hybrid

if TYPE_CHECKING:
    from slr_probe.layers import LayerRange

FORMAT = "slr_probe.patch/1"
_ENTRY = "slr_probe_patch"


def save_patch(
    base: str | os.PathLike[str],
    tuned: str | os.PathLike[str],
    recipe: Recipe | LayerRange | str,
    out: str | os.PathLike[str],
    *,
    base_id: str | None = None,
    tuned_id: str | None = None,
    download: bool = False,
    trust_remote_code: bool = False,
    base_revision: str | None = None,
    tuned_revision: str | None = None,
) -> Path:
    """Write what a hybrid has that tuned has not as one safetensors file, much smaller than the hybrid.

    Args:
        base: Base checkpoint: folder, hub id or `"organism:base"`.
        tuned: Tuned checkpoint: the same, or the folder of a LoRA adapter over base.
        recipe: A recipe, or the range of blocks to restore (`"8:14"`).
        out: File to create; only a patch that is there already is replaced.
        base_id: What base is called in the patch; default: its hub id, or the last name of its folder.
        tuned_id: The same for tuned.
        download: Let hub ids be fetched over the network.
        trust_remote_code: Let transformers run Python code that comes with a checkpoint (its config).
        base_revision: Branch, tag or commit of base, where that is a hub id.
        tuned_revision: The same for tuned.

    Raises:
        LayerRangeError: The range is malformed, empty or out of bounds.
        RecipeError: The recipe does not fit the pair, or changes nothing.
        CheckpointError: A side is missing or corrupt.
        OutputError: The file cannot be written, is another file, or would lie among a checkpoint's.
    """
    out = Path(out).expanduser()
    _check_free(out)
    base_side, tuned_side, notes = open_sides(
        base,
        tuned,
        download=download,
        trust_remote_code=trust_remote_code,
        base_revision=base_revision,
        tuned_revision=tuned_revision,
    )
    recipe = as_recipe(recipe, tuned_side.depth)
    if recipe.end_bias:
        raise RecipeError(f"a patch holds weights; '{recipe}' has an end bias, which restore writes: leave it out")
    plan = plan_hybrid(base_side, tuned_side, recipe)
    tensors = [info for name, info in require_checkpoint(tuned_side).tensors.items() if plan[name].share != 1.0]
    if not tensors:
        raise RecipeError(f"recipe '{recipe}' leaves every tensor as it is in tuned; there is nothing to write")
    record = {
        "format": FORMAT,
        "recipe": recipe.to_dict(),
        "base": _public(origin(base_side, base_id)),
        "tuned": _public(origin(tuned_side, tuned_id)),
        "notes": list(notes),
    }

    def write(file: IO[bytes]) -> None:
        file.write(_header(tensors, record))
        for info in tensors:
            for piece in hybrid_pieces(plan[info.name], info, base_side, tuned_side):
                file.write(piece.data)

    return write_whole(out, write)


def apply_patch(
    patch: str | os.PathLike[str],
    tuned: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    tuned_id: str | None = None,
    download: bool = False,
    trust_remote_code: bool = False,
    tuned_revision: str | None = None,
    progress: bool | None = None,
) -> Path:
    """Write the hybrid that a patch makes of tuned: the folder that `restore` would write, without base.

    Args:
        patch: A file that `save_patch` wrote.
        tuned: The tuned checkpoint that it was made for.
        out: Folder to create; it must not exist or be empty.
        tuned_id: What tuned is called on the model card and in the recipe; default: as the patch says.
        download: Let hub ids be fetched over the network.
        trust_remote_code: Let transformers run Python code that comes with a checkpoint (its config).
        tuned_revision: Branch, tag or commit of tuned, where that is a hub id.
        progress: Show a progress bar; default: on a terminal and in Jupyter.

    Raises:
        CheckpointError: The file is no patch, or tuned is not the checkpoint that it was made for.
        OutputError: `out` is not empty.
    """
    shard = Shard.open(Path(patch).expanduser())
    record = _read(shard)
    opened: dict[str, Any] = {"download": download, "trust_remote_code": trust_remote_code}
    _, side, _ = open_sides(tuned, tuned, base_revision=tuned_revision, tuned_revision=tuned_revision, **opened)
    theirs = origin(side, tuned_id or record["tuned"]["source"])
    if theirs["fingerprint"] != record["tuned"]["fingerprint"]:
        raise CheckpointError(
            f"{side} is not the checkpoint that {shard.path} was made for, {record['tuned']['source']}: other weights"
        )
    new = {info.name: info for info in shard.tensors}
    _check_fit(new, require_checkpoint(side).tensors, shard.path)
    source = Side("base", str(shard.path), checkpoint=cast(AnyCheckpoint, _Tensors(new)))
    plan = {
        name: Step(name, 0.0, name) if name in new else Step(name, 1.0, None)
        for name in require_checkpoint(side).tensors
    }
    origins = {"base": {**record["base"], "path": record["base"]["source"]}, "tuned": theirs}
    hybrid = Hybrid(Recipe.from_dict(record["recipe"]), source, side, plan, origins, record["notes"])
    return write_hybrid(hybrid, Path(out), progress=progress)


@dataclass(frozen=True)
class _Tensors:
    """As much of a checkpoint as the writer of a hybrid asks of base."""

    tensors: Mapping[str, TensorInfo]


def _check_free(out: Path) -> None:
    """Check that no file of the user's is replaced, and that no loader would take the patch for a checkpoint's weights.

    Raises:
        OutputError: It would be.
    """
    if (out.resolve().parent / "config.json").is_file():
        raise OutputError(f"{out} would lie in the folder of a checkpoint, whose loaders read it; give another folder")
    if os.path.isfile(out):  # False for a name that no file can have, which writing refuses
        try:
            _read(Shard.open(out))
        except CheckpointError as error:
            raise OutputError(f"{out} exists and is no patch; give a new file, or remove it first") from error


def _public(source: dict[str, str]) -> dict[str, str]:
    """Where a side comes from, without a folder of this machine."""
    return {"source": public_name(source["source"]), "fingerprint": source["fingerprint"]}


def _header(tensors: Iterable[TensorInfo], record: Mapping[str, Any]) -> bytes:
    """The head of a safetensors file: its length, and JSON that says where each tensor lies."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt", _ENTRY: json.dumps(record)}}
    start = 0
    for info in tensors:
        stop = start + info.nbytes
        entries[info.name] = {"dtype": info.dtype, "shape": list(info.shape), "data_offsets": [start, stop]}
        start = stop
    return header(entries)


def _read(shard: Shard) -> dict[str, Any]:
    """What a patch says of itself.

    Raises:
        CheckpointError: It is none.
    """
    try:
        record: dict[str, Any] = json.loads(shard.metadata[_ENTRY])
        named = [record[role][name] for role in ("base", "tuned") for name in ("source", "fingerprint")]
        whole = record["format"] == FORMAT and all(isinstance(one, str) for one in named)
        notes = record["notes"]
        whole = whole and "recipe" in record and isinstance(notes, list) and all(isinstance(one, str) for one in notes)
    except (KeyError, TypeError, ValueError, RecursionError):
        whole = False
    if not whole:
        raise CheckpointError(f"{shard.path} is no patch; expected a file that slr-probe export wrote")
    return record


def _check_fit(new: Mapping[str, TensorInfo], old: Mapping[str, TensorInfo], path: Path) -> None:
    """Check that every tensor of a patch has its place in tuned.

    Raises:
        CheckpointError: One has not.
    """
    for name, info in new.items():
        if name not in old or (old[name].dtype, old[name].shape) != (info.dtype, info.shape):
            raise CheckpointError(f"'{name}' of {path} has no place in tuned: {info.dtype} {list(info.shape)}")

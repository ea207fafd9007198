"""`restore`: a hybrid on disk, streamed from two checkpoint folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from slr_probe.checkpoint.entries import stamps
from slr_probe.checkpoint.shard import Shard
from slr_probe.errors import CheckpointError, OutputError
from slr_probe.output_folder import output_folder
from slr_probe.pair.open import open_sides
from slr_probe.pair.side import Side, require_checkpoint
from slr_probe.progress import progress_bar
from slr_probe.recipe import as_recipe
from slr_probe.restoration.extras import copy_extras, write_card, write_record
from slr_probe.restoration.plan import Step, plan_hybrid
from slr_probe.restoration.stream import check_shard, clone, link, write_shard
from slr_probe.version import __version__

if TYPE_CHECKING:
    from slr_probe.layers import LayerRange
    from slr_probe.recipe import Recipe

Untouched = Literal["auto", "hardlink", "copy"]


def restore(
    base: str | os.PathLike[str],
    tuned: str | os.PathLike[str],
    recipe: Recipe | LayerRange | str,
    out: str | os.PathLike[str],
    *,
    untouched: Untouched = "auto",
    check_finite: bool = True,
    download: bool = False,
    trust_remote_code: bool = False,
    base_revision: str | None = None,
    tuned_revision: str | None = None,
    progress: bool | None = None,
) -> Path:
    """Write the hybrid of two checkpoints as a complete transformers folder (config, weights, tokenizer, card).

    No model is loaded: the tuned shards are copied piece by piece, with the bytes of restored tensors taken from base,
    so memory stays at one tensor whatever the size of the model. The hybrid keeps the tuned config, tokenizer, chat
    template, generation config, tensor names, dtypes and sharding. Method: Selective Layer Restoration,
    arXiv 2602.06665.

    The folder appears under its name only when it is complete. After an error nothing is left behind; after a
    kill, a rerun with the same arguments goes on from the shards that were finished.

    Args:
        base: Base checkpoint: folder, hub id or `"organism:base"`.
        tuned: Tuned checkpoint: the same, or the folder of a LoRA adapter over base.
        recipe: A recipe, or the range of blocks to restore (`"8:14"`).
        out: Folder to create; it must not exist or be empty.
        untouched: What to do with shards that hold only tuned tensors: `"auto"` clones them where the file
            system shares blocks (reflink), else copies; `"hardlink"` links them to the tuned files; `"copy"` copies.
        check_finite: Check all weights that enter the hybrid for NaN and infinity on the way.
        download: Let hub ids be fetched over the network.
        trust_remote_code: Let transformers run Python code that comes with a checkpoint (its config).
        base_revision: Branch, tag or commit of base, where that is a hub id.
        tuned_revision: The same for tuned.
        progress: Show a progress bar; default: on a terminal and in Jupyter.

    Returns:
        The folder.

    Raises:
        LayerRangeError: The range is malformed, empty or out of bounds.
        RecipeError: The recipe does not fit the pair.
        CheckpointError: A side is missing, corrupt, pickled, or has NaN or infinite weights.
        IncompatiblePairError: The two sides are not of one architecture.
        OutputError: `out` is not empty or is being written by another process, or the disk is full.
    """
    if untouched not in get_args(Untouched):
        raise OutputError(f"untouched={untouched!r} is unknown; expected one of {', '.join(get_args(Untouched))}")
    base_side, tuned_side, notes = open_sides(
        base,
        tuned,
        download=download,
        trust_remote_code=trust_remote_code,
        base_revision=base_revision,
        tuned_revision=tuned_revision,
    )
    recipe = as_recipe(recipe, tuned_side.depth)
    shards = require_checkpoint(tuned_side).shards
    plan = plan_hybrid(base_side, tuned_side, recipe)
    record = {"recipe": recipe.to_dict(), "base": _origin(base_side), "tuned": _origin(tuned_side)}
    size = sum(shard.path.stat().st_size for shard in shards)
    state = [_stamps(side) for side in (base_side, tuned_side)]
    how = {"slr_probe": __version__, "untouched": untouched, "check_finite": check_finite}
    key = {**record, **how, "stamps": state}
    out = Path(out).expanduser()
    with output_folder(out, key, needed=0 if untouched == "hardlink" else size) as folder:
        with progress_bar(size, "restoring", show=progress, bytes=True) as steps:
            for shard in shards:
                _place(shard, folder, plan, base_side, tuned_side, untouched, check_finite, steps)
        copy_extras(tuned_side, folder)
        if state != [_stamps(side) for side in (base_side, tuned_side)]:
            raise CheckpointError(f"files of {base_side} or {tuned_side} changed while they were read; restore again")
        write_card(folder, recipe, base_side, tuned_side)
        write_record(folder, record, notes, tuned_side)
    return out


def _place(
    shard: Shard,
    folder: Path,
    plan: dict[str, Step],
    base: Side,
    tuned: Side,
    untouched: Untouched,
    check_finite: bool,
    steps: Any,
) -> None:
    """Put one finished shard into the folder; it gets its name when it is whole."""
    done = folder / shard.path.name
    if not done.exists():
        part = done.with_suffix(".part")
        part.unlink(missing_ok=True)
        checkpoint = require_checkpoint(tuned)
        whole = all(plan[info.name].share == 1.0 and checkpoint.is_stored(info.name) for info in shard.tensors)
        share_bytes = {"auto": clone, "hardlink": link}.get(untouched)
        if whole and share_bytes is not None and share_bytes(shard.path, part):
            if check_finite:
                check_shard(shard)
        else:
            write_shard(shard, part, plan, base, tuned, check_finite=check_finite, steps=steps)
        os.replace(part, done)
    if Shard.open(done).tensors[-1].stop != shard.tensors[-1].stop:
        raise CheckpointError(f"{done} does not have the size of {shard.path}; the source changed while it was read")
    steps.n = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    steps.refresh()


def _stamps(side: Side) -> dict[str, list[int]]:
    """What tells that a file of a side was written to between a kill and the next call."""
    assert side.path is not None
    return stamps(side.path)


def _origin(side: Side) -> dict[str, str]:
    return {
        "source": side.label,
        "path": str(side.path),
        "fingerprint": require_checkpoint(side).fingerprint(),
    }

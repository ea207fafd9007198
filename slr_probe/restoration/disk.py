"""`restore`: a hybrid on disk, streamed from two checkpoint folders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from slr_probe.errors import OutputError
from slr_probe.pair.open import open_sides
from slr_probe.pair.side import Side, require_checkpoint
from slr_probe.recipe import as_recipe
from slr_probe.restoration.plan import plan_hybrid
from slr_probe.restoration.write import Hybrid, Untouched, write_hybrid

if TYPE_CHECKING:
    from slr_probe.layers import LayerRange
    from slr_probe.recipe import Recipe


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
    base_id: str | None = None,
    tuned_id: str | None = None,
    end_bias: Mapping[int, float] | None = None,
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
        base_id: What base is called on the model card and in the recipe, such as the hub id of a local folder.
        tuned_id: The same for tuned.
        end_bias: Numbers to add to the logits of these tokens (ids) when text is generated, as `EndBias.per_token`;
            written into `generation_config.json` as `sequence_bias`; default: what the recipe says.
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
    recipe = recipe if end_bias is None else recipe.with_end_bias(end_bias)
    plan = plan_hybrid(base_side, tuned_side, recipe)
    origins = {"base": origin(base_side, base_id), "tuned": origin(tuned_side, tuned_id)}
    hybrid = Hybrid(recipe, base_side, tuned_side, plan, origins, notes)
    return write_hybrid(hybrid, Path(out), untouched=untouched, check_finite=check_finite, progress=progress)


def origin(side: Side, name: str | None = None) -> dict[str, str]:
    """Where a side comes from: its public name, else what the user named; its folder; a hash of its weights."""
    return {
        "source": name or (str(side.path) if Path(side.label).expanduser().is_dir() else side.label),
        "path": str(side.path),
        "fingerprint": require_checkpoint(side).fingerprint(),
    }

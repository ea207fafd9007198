"""A hybrid that is planned, written as a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from slr_probe.checkpoint.entries import stamps
from slr_probe.checkpoint.shard import Shard
from slr_probe.errors import CheckpointError
from slr_probe.output_folder import output_folder
from slr_probe.pair.side import Side, require_checkpoint
from slr_probe.progress import progress_bar
from slr_probe.recipe import Recipe
from slr_probe.restoration.card import write_card
from slr_probe.restoration.end_bias import write_end_bias
from slr_probe.restoration.extras import copy_extras, write_record
from slr_probe.restoration.plan import Step
from slr_probe.restoration.stream import check_shard, clone, link, write_shard
from slr_probe.version import __version__

Untouched = Literal["auto", "hardlink", "copy"]


@dataclass(frozen=True)
class Hybrid:
    """A hybrid to write.

    Attributes:
        recipe: Its recipe.
        base: Where restored tensors come from: base, or a patch.
        tuned: Tuned side.
        plan: Where each tensor comes from.
        origins: What is recorded of base and of tuned: `source`, `path`, `fingerprint`.
        notes: How the sides differ.
    """

    recipe: Recipe
    base: Side
    tuned: Side
    plan: dict[str, Step]
    origins: dict[str, dict[str, str]]
    notes: Sequence[str]

    @property
    def end_bias(self) -> dict[int, float]:
        """What generation adds to the logits of these tokens."""
        return dict(self.recipe.end_bias)

    def stamps(self) -> list[dict[str, list[int]]]:
        """What tells that a file of a side was written to between a kill and the next call."""
        return [stamps(side.path) for side in (self.base, self.tuned) if side.path is not None]


def write_hybrid(
    hybrid: Hybrid, out: Path, *, untouched: Untouched = "auto", check_finite: bool = True, progress: bool | None = None
) -> Path:
    """Write the complete folder: shards, tuned's other files, card and record. It appears only when it is whole.

    Raises:
        CheckpointError: A side is corrupt, has NaN or infinite weights, or is written to meanwhile.
        OutputError: `out` is not empty or is being written by another process, or the disk is full.
    """
    shards = require_checkpoint(hybrid.tuned).shards
    record: dict[str, Any] = {"recipe": hybrid.recipe.to_dict(), **hybrid.origins}
    if hybrid.end_bias:
        record["end_bias"] = sorted([token, bias] for token, bias in hybrid.end_bias.items())
    size = sum(shard.path.stat().st_size for shard in shards)
    state = hybrid.stamps()
    how = {"slr_probe": __version__, "untouched": untouched, "check_finite": check_finite}
    key = {**record, **how, "stamps": state}
    out = out.expanduser()
    with output_folder(out, key, needed=0 if untouched == "hardlink" else size) as folder:
        with progress_bar(size, "restoring", show=progress, bytes=True) as steps:
            for shard in shards:
                _place(shard, folder, hybrid, untouched, check_finite, steps)
        copy_extras(hybrid.tuned, folder)
        if hybrid.end_bias:
            write_end_bias(folder, hybrid.end_bias)
        if state != hybrid.stamps():
            raise CheckpointError(
                f"files of {hybrid.base} or {hybrid.tuned} changed while they were read; restore again"
            )
        write_card(folder, hybrid.recipe, *(hybrid.origins[role]["source"] for role in ("base", "tuned")))
        write_record(folder, record, hybrid.notes, hybrid.tuned)
    return out


def _place(shard: Shard, folder: Path, hybrid: Hybrid, untouched: Untouched, check_finite: bool, steps: Any) -> None:
    """Put one finished shard into the folder; it gets its name when it is whole."""
    done = folder / shard.path.name
    if not done.exists():
        part = done.with_suffix(".part")
        part.unlink(missing_ok=True)
        checkpoint = require_checkpoint(hybrid.tuned)
        whole = all(hybrid.plan[info.name].share == 1.0 and checkpoint.is_stored(info.name) for info in shard.tensors)
        share_bytes = {"auto": clone, "hardlink": link}.get(untouched)
        if whole and share_bytes is not None and share_bytes(shard.path, part):
            if check_finite:
                check_shard(shard)
        else:
            write_shard(shard, part, hybrid.plan, hybrid.base, hybrid.tuned, check_finite=check_finite, steps=steps)
        os.replace(part, done)
    if Shard.open(done).tensors[-1].stop != shard.tensors[-1].stop:
        raise CheckpointError(f"{done} does not have the size of {shard.path}; the source changed while it was read")
    steps.n = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    steps.refresh()

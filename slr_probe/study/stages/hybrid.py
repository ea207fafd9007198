"""`restore` and `verify`: the hybrid on disk, and whether it is what it says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from slr_probe.errors import StudyError
from slr_probe.files import write_json
from slr_probe.study.folder import CHOICE, HYBRID, VERIFIED
from slr_probe.study.stage import Skipped, Stage

if TYPE_CHECKING:
    from slr_probe.study.context import Context


def restore(context: Context, home: Path) -> str:
    """Build the hybrid of the range that was chosen."""
    from slr_probe.restoration import restore as restore_on_disk

    choice = context.found.choice(context.settings.restore.layers)
    layers = None if choice.layers is None else str(choice.layers)
    write_json(home / CHOICE, {"layers": layers, "why": choice.why})
    if layers is None:
        raise Skipped(choice.why)
    base, tuned = context.pair.base_side.label, context.pair.tuned_side.label
    hybrid = context.folder / HYBRID
    folder = restore_on_disk(base, tuned, layers, hybrid, progress=context.progress, **context.options)
    size = sum(file.stat().st_size for file in folder.iterdir())
    return f"{HYBRID}/: blocks {layers} set back to base, {size / (1 << 20):,.1f} MiB"


def verify(context: Context, home: Path) -> str:
    """Compare every tensor of the hybrid with its source."""
    from slr_probe.restoration import verify_hybrid

    folder = context.folder / HYBRID
    if not folder.is_dir():
        raise Skipped("no hybrid was built")
    pair = context.pair
    report = verify_hybrid(
        folder,
        base=os.fspath(pair.base_side.label),
        tuned=os.fspath(pair.tuned_side.label),
        progress=context.progress,
        **context.options,
    )
    write_json(home / VERIFIED, {"ok": report.ok, "counts": report.counts, "problems": list(report.problems)})
    if not report.ok:
        raise StudyError(f"the hybrid is not what its recipe says: {report.problems[0]}")
    parts = ", ".join(f"{count} from {origin}" for origin, count in report.counts.items())
    return f"{sum(report.counts.values())} tensors equal their source bit for bit ({parts})"


RESTORE = Stage(
    "restore",
    "the hybrid on disk",
    ("rank",),
    lambda settings: {"restore": settings.to_dict()["restore"]},
    restore,
    owns=(HYBRID,),
)
VERIFY = Stage("verify", "every tensor against its source", ("restore",), lambda settings: {}, verify)

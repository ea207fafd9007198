"""`report`: one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from slr_probe.study.folder import REPORT
from slr_probe.study.stage import Stage

if TYPE_CHECKING:
    from slr_probe.study.context import Context


def report(context: Context, home: Path) -> str:
    """Write the report from what the other stages saved."""
    from slr_probe.study.report import write_report

    path = write_report(
        context.folder, prompts=context.settings.report.prompts, samples=context.settings.report.samples
    )
    return f"{REPORT}, {path.stat().st_size / 1024:,.0f} KiB"


REPORT_STAGE = Stage(
    "report",
    "one HTML file",
    ("inspect", "delta", "lens", "patching", "rank", "mask", "restore", "verify", "validate"),
    lambda settings: {"report": settings.to_dict()["report"]},
    report,
    owns=(REPORT,),
    soft=True,
)

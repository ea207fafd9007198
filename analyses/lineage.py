"""When and where: diversity stage by stage of post-training, beside weight change and entropy collapse over depth.

    python analyses/lineage.py [BASE TUNED] [--stage NAME=CHECKPOINT ...] [--figures DIR] [--quick]

Writes lineage.{pdf,png,csv} and lineage_depth.csv. Stages between BASE and TUNED are given with --stage; the embedded
pair has its SFT stage there.
"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from common import BASE, TUNED, Analysis, main, span, write_table

from slr_probe.lineage import trace_lineage
from slr_probe.lineage.result import Lineage


def options(parser: ArgumentParser) -> None:
    """What only this script takes."""
    parser.add_argument("--stage", action="append", default=[], metavar="NAME=CHECKPOINT", help="a stage in between")


def run(analysis: Analysis) -> None:
    """Trace and draw."""
    args, common = analysis.args, analysis.settings.common
    embedded = (args.base, args.tuned) == (BASE, TUNED)
    between = [tuple(text.split("=", 1)) for text in args.stage] or [("sft", "organism:sft")] * embedded
    stages = [("base", args.base), *between, ("dpo" if embedded else Path(args.tuned).name, args.tuned)]
    size = {"prompts": 8, "samples": 8, "max_tokens": 40} if args.quick else {"prompts": 24, "samples": 16}
    lineage: Lineage = analysis.kept(
        "lineage",
        Lineage,
        {"stages": [list(stage) for stage in stages], "dtype": common.dtype, "seed": common.seed, **size},
        lambda: trace_lineage(stages, dtype=common.dtype or None, seed=common.seed, level=common.level, **size),
    )
    left, lost = lineage.change().mean_retained, lineage.change().mean_loss
    parts = []
    for i, stage in enumerate(lineage.later):
        kept = span(left.estimate[i], left.low[i], left.high[i], ".0f")
        loss = span(lost.estimate[i], lost.low[i], lost.high[i], "+.0f")
        parts.append(f"{stage} keeps {kept} % of base's diversity (stage loss {loss} points)")
    shows = f"Mean over {len(lineage.tasks)} tasks of {lineage.metric}: {'; '.join(parts)}."
    settings = f"{size['prompts']} prompts a task x {size['samples']} outputs, temperature 0.6, top-p 0.95, base on "
    settings += f"the plain prompt, level {lineage.level:g}"
    analysis.write("lineage", lineage.plot(), lineage.to_dataframe(), shows, settings, height=5.2)
    if lineage.has_depth:
        write_table(lineage.depth_table(), args.figures / "lineage_depth.csv")


if __name__ == "__main__":
    main(__doc__, run, options)

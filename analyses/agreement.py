"""Do cheap methods find what the exhaustive sweep finds? Rank correlation, regret, and planted blocks.

    python analyses/agreement.py [BASE TUNED] [--methods NAME ...] [--results DIR] [--figures DIR] [--quick]

Writes agreement.{pdf,png,csv}: (a) Spearman correlation of each method's order of all ranges with that of the sweep,
intervals over the sweep's prompts; (b) for the embedded pair, area under the ROC curve of each method's block scores
for planted blocks, in variants of the tuned model that were trained in these alone; (c) diversity that is lost where
only a method's first k ranges are measured, beside the exact mean for ranges drawn at random.
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

import pandas as pd
from common import BASE, Analysis, main, span
from methods.figure import plot_agreement
from methods.regret import random_regret, regret_curve, roc_auc, spearman_interval

from slr_probe import ModelPair, organism, rank_layers
from slr_probe.rank import RangeRanking
from slr_probe.rank.blocks.scorers import SCORERS
from slr_probe.study.context import Context
from slr_probe.study.stages.prompts import choose


def options(parser: ArgumentParser) -> None:
    """What only this script takes."""
    parser.add_argument("--methods", nargs="+", choices=list(SCORERS), help="default: all; with --quick all but mask")


def run(analysis: Analysis) -> None:
    """Rank by each method and compare."""
    exhaustive = analysis.study("rank").ranking
    assert exhaustive is not None
    methods = analysis.args.methods or [name for name in SCORERS if name != "mask" or not analysis.args.quick]
    cheap = {name: ranked(analysis, analysis.pair, name, "") for name in methods}
    auc: dict[str, dict[str, float]] = {}
    for blocks in organism.PLANTED if analysis.args.base == BASE else ():
        pair, text = ModelPair.load(BASE, organism.planted(blocks)), "{}:{}".format(*blocks)
        found = {name: ranked(analysis, pair, name, text).block_gain for name in methods}
        auc[text] = {name: roc_auc(gain, range(*blocks)) for name, gain in found.items()}
    spearman = {name: spearman_interval(exhaustive, one) for name, one in cheap.items()}
    regret = {name: regret_curve(exhaustive, one.order) for name, one in cheap.items()}
    chance = random_regret(exhaustive)
    counts = [k for k in (1, 5, 10, 20) if k <= len(chance)]
    rows, parts, last = [], [], min(10, len(chance)) - 1
    for name, one in cheap.items():
        how, rho = exhaustive.agreement(one), spearman[name]
        row = {"method": name, "first": str(one.best), "spearman": how.spearman}
        row |= {"spearman_low": float(rho.low), "spearman_high": float(rho.high)}
        row |= {"kendall": how.kendall, "top_10_overlap": how.overlap}
        row |= {f"regret_at_{k}": regret[name][k - 1] for k in counts}
        row |= {f"auc_{text}": areas[name] for text, areas in auc.items()}
        rows.append(row)
        after = f"{regret[name][0]:.3f} with one range measured and {regret[name][last]:.3f} with {last + 1}"
        parts.append(f"{name} {span(rho.estimate, rho.low, rho.high, '+.2f')}, regret {after}")
    rows.append({"method": "random", **{f"regret_at_{k}": chance[k - 1] for k in counts}})
    shows = f"Spearman with the sweep: {'; '.join(parts)} (at random {chance[0]:.3f} and {chance[last]:.3f})."
    settings = f"{exhaustive.validity.shape[1]} selection prompts, floor {exhaustive.floor:g}, "
    settings += f"{len(exhaustive.ranges)} ranges, percentile bootstrap over prompts"
    figure = plot_agreement(spearman, regret, chance, auc or None)
    analysis.write("agreement", figure, pd.DataFrame(rows), shows, settings, height=3.0)


def ranked(analysis: Analysis, pair: ModelPair, method: str, planted: str) -> RangeRanking:
    """All ranges in the order of a cheap method, on the study's prompts."""
    args, settings = analysis.args, analysis.settings
    task = choose(Context(args.base, args.tuned, analysis.folder, settings), settings.rank.prompts).selection
    asked = {"method": method, "planted": planted, "settings": [settings.to_dict()[key] for key in ("common", "rank")]}
    chosen: Any = settings.common.format or None

    def make() -> RangeRanking:
        return rank_layers(pair, task, method, settings.rank.floor, guards=None, soups=0, format=chosen)

    return analysis.kept(f"{method}-{planted.replace(':', '-') or 'pair'}", RangeRanking, asked, make)


if __name__ == "__main__":
    main(__doc__, run, options)

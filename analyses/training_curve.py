"""Validity and diversity while preferences are trained: CRC measured every few steps of the embedded pair's own DPO.

    python analyses/training_curve.py [--pairs 12000] [--every 10] [--figures DIR]

Trains `organism:sft` once more as the embedded pair was trained (about three minutes on two quiet cores) and measures
16 CRC prompts before the first step and after every tenth. Writes training_curve.{pdf,png,csv}.
"""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from common import Analysis, main
from matplotlib.figure import Figure

from organism.corpus import preferences
from organism.loops import encode, fit_preferences
from organism.train import Settings, load
from slr_probe.organism import path
from slr_probe.show.charts.canvas import open_canvas
from slr_probe.show.charts.style import COLOURS, open_frame
from slr_probe.stats import mean_interval
from slr_probe.training import CRCPoint, LiveCRC


def train(pairs: int, every: int) -> dict[int, CRCPoint]:
    """The second stage of the embedded pair, watched."""
    model, tokenizer = load(path("sft"))
    post, seed = replace(Settings().post, pairs=pairs), Settings().seed
    crc, history = LiveCRC(tokenizer), {}

    def watch(step: int) -> None:
        if step % every == 0:
            history[step] = crc(model)

    torch.manual_seed(seed)
    random.seed(seed)
    found = list(preferences(post.pairs, post.pair_sharpness, post.wrong, post.plain, seed))
    chosen, rejected = (encode([pair[side] for pair in found], tokenizer) for side in (0, 1))
    fit_preferences(model, chosen, rejected, post.dpo, "dpo", post.beta, post.imitation, seed=seed, watch=watch)
    return history


def as_table(history: dict[int, CRCPoint]) -> pd.DataFrame:
    """Means with bootstrap intervals over prompts, a row a measurement."""
    table = pd.DataFrame({"step": list(history)})
    for name in ("validity", "diversity"):
        found = mean_interval(np.array([getattr(point, name) for point in history.values()]))
        table[name], table[f"{name}_low"], table[f"{name}_high"] = found.estimate, found.low, found.high
    return table


def plot(table: pd.DataFrame) -> Figure:
    """Both curves with their intervals."""
    canvas = open_canvas(1, 1, (5.6, 3.2))
    (axis,) = canvas.axes
    for name, colour, style in (("validity", COLOURS["tuned"], "--"), ("diversity", COLOURS["best"], "-")):
        axis.fill_between(table["step"], table[f"{name}_low"], table[f"{name}_high"], color=colour, alpha=0.2, lw=0)
        axis.plot(table["step"], table[name], style, color=colour, linewidth=1.3, label=name)
    axis.set(xlabel="steps of preference training", ylabel="validity; diversity (of log |V|)", ylim=(0, 1.02))
    axis.legend(frameon=False, loc="center right")
    open_frame(axis)
    return canvas.close("CRC while preferences are trained")


def run(analysis: Analysis) -> None:
    """Train, measure, draw."""
    table = as_table(train(analysis.args.pairs, analysis.args.every))
    first, last = table.iloc[0], table.iloc[-1]
    half = table[table["diversity"] <= (first["diversity"] + last["diversity"]) / 2].iloc[0]
    shows = (
        f"Diversity falls from {first['diversity']:.3f} to {last['diversity']:.3f} within {last['step']:.0f} steps, "
        f"half of it by step {half['step']:.0f}; validity {first['validity']:.3f} to {last['validity']:.3f}."
    )
    settings = (
        f"{analysis.args.pairs} preference pairs, 16 selection prompts every {analysis.args.every} steps, level 0.95"
    )
    analysis.write("training_curve", plot(table), table, shows, settings, height=2.8, width=5.0)


def more(arguments) -> None:
    """What this script takes beside what all take."""
    arguments.add_argument("--pairs", type=int, default=Settings().post.pairs, help="preference pairs (12000)")
    arguments.add_argument("--every", type=int, default=10, help="steps between two measurements (10)")


if __name__ == "__main__":
    main(__doc__, run, more)

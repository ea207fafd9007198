"""Which layers did alignment need? Learned masks beside weight change and patching, and how masks of other data agree.

    python analyses/mask.py [BASE TUNED] [--data NAME=FILE.jsonl ...] [--figures DIR] [--quick]

Writes mask_layers.{pdf,png} (a mask of every kind of conversation and their mean, relative weight change, causal effect
of each block), mask_units.csv (a row a unit), mask_overlap.{csv,pdf,png} (common units of each two masks beside chance)
and mask_rates.csv (loss and CRC scores of binary masks, on conversations held back). Without --data, the tuned model
answers prompts of the embedded pair's corpus, one data set a family of prompts.
"""

from __future__ import annotations

import random
from argparse import ArgumentParser, Namespace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from common import Analysis, main, write_table
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from organism.corpus import FAMILIES
from slr_probe import CRCTask, ModelPair, patch_activations, weight_delta
from slr_probe.probes.mask.examples import hold_back
from slr_probe.probes.mask.learn import learn_layer_mask, read_conversations, sample_conversations
from slr_probe.probes.mask.rates import score_mask_rates
from slr_probe.probes.mask.result import LayerMask
from slr_probe.show.charts.style import COLOURS, MAP
from slr_probe.show.mask import draw_heat_map, heat_map

KINDS = {"choices": "choice", "arithmetic": "arithmetic", "questions": "question", "stories": "story"}
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def options(parser: ArgumentParser) -> None:
    """What only this script takes."""
    parser.add_argument("--data", action="append", default=[], metavar="NAME=FILE", help="conversations of your own")
    parser.add_argument("--count", type=int, default=128, help="made-up conversations of each kind (128; quick: 24)")
    parser.add_argument("--steps", type=int, default=60, help="gradient steps (60; quick: 10)")
    parser.add_argument("--batch-size", type=int, default=8, help="conversations a step (8)")
    parser.add_argument("--seeds", type=int, default=2, help="masks of each kind (2)")
    parser.add_argument("--rate", type=float, default=0.5, help="share of the units in a binary mask (0.5)")


def run(analysis: Analysis) -> None:
    """Learn the masks, compare them, draw."""
    args, pair = analysis.args, ModelPair.load(analysis.args.base, analysis.args.tuned, dtype="float32")
    args.count, args.steps = (min(args.count, 24), min(args.steps, 10)) if args.quick else (args.count, args.steps)
    data = conversations(pair, args)
    masks = {
        name: learn_layer_mask(
            pair, hold_back(talks)[0], steps=args.steps, batch_size=args.batch_size, seeds=args.seeds
        )
        for name, talks in data.items()
    }
    patching = patch_activations(
        pair, CRCTask.default().selection, direction="base->tuned", components=("resid", "attn", "mlp"), controls=False
    )
    figure = draw_layers(masks, weight_delta(pair, spectral="none"), patching)
    first = next(iter(masks))
    rates = score_mask_rates(pair, masks[first], hold_back(data[first])[1], batch_size=args.batch_size)
    units = pd.concat([mask.to_dataframe().assign(data=name) for name, mask in masks.items()])
    settings = f"{', '.join(f'{name} {len(hold_back(talks)[0])}' for name, talks in data.items())} conversations, "
    settings += f"{args.steps} steps of {args.batch_size}, {args.seeds} seeds, float32"
    means = {name: mask.blocks() for name, mask in masks.items()}
    shows = "; ".join(f"{name}: block means of gamma {_extremes(gamma)}" for name, gamma in means.items())
    analysis.write("mask_layers", figure, units, f"Learned masks. {shows}.", settings, height=3.9)
    if len(masks) > 1:
        overlaps = overlap_table(masks, args.rate)
        pairs = overlaps[overlaps["other"] != "another seed"]
        shows = "; ".join(f"{row.data} and {row.other} {row.share:.2f}" for row in pairs.itertuples())
        shows = f"Share of common units, top {args.rate:.0%}: {shows} (chance {pairs['chance'].iloc[0]:.2f})."
        size = {"height": 0.6 + 0.55 * len(masks), "width": 1.1 + 0.75 * len(masks)}
        analysis.write("mask_overlap", draw_overlap(masks, args.rate), overlaps, shows, settings, **size)
    write_table(rates.to_dataframe(), args.figures / "mask_rates.csv")


def conversations(pair: ModelPair, args: Namespace) -> dict[str, list[Any]]:
    """Data sets by name: the user's files, or what the tuned model answers to prompts of each family."""
    if args.data:
        pairs = [entry.partition("=") for entry in args.data]
        return {name: list(read_conversations(file)) for name, _, file in pairs}
    found = {}
    for name, family in KINDS.items():
        rng = random.Random(f"mask-{family}")
        prompts = [FAMILIES[family](rng).prompt for _ in range(args.count)]
        talks: list[Any] = sample_conversations(pair, prompts, samples=1, max_tokens=80)
        rng.shuffle(talks)
        found[name] = talks
    return found


def overlap_table(masks: dict[str, LayerMask], rate: float) -> pd.DataFrame:
    """A row for each two data sets, and for the seeds of each one: what stability alone would allow."""
    rows = []
    for one, other in combinations(masks, 2):
        found = masks[one].overlap(masks[other], rate)
        row = {"data": one, "other": other, "rate": rate, "units": found.count}
        names = ("common", "share", "chance", "chance_high", "jaccard", "chance_jaccard", "p_value")
        rows.append(row | {name: getattr(found, name) for name in names})
    for name, mask in masks.items():
        for jaccard in mask.stability(rate):
            rows.append({"data": name, "other": "another seed", "rate": rate, "jaccard": jaccard})
    return pd.DataFrame(rows)


def draw_layers(masks: dict[str, LayerMask], delta: Any, patching: Any) -> Figure:
    """Heat maps of all masks, then their mean beside weight change and the causal effect of each block."""
    figure = Figure(figsize=(3.1 * max(len(masks), 3), 5.4), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.05))
    axes = np.atleast_1d(top.subplots(1, len(masks), sharey=True))
    for axis, (name, mask) in zip(axes, masks.items(), strict=True):
        image = draw_heat_map(axis, mask)
        axis.set_title(name, fontsize="medium")
    top.colorbar(image, ax=axes.tolist(), label="gamma", fraction=0.04, pad=0.01)
    left, middle, right = bottom.subplots(1, 3)
    _block_means(left, masks)
    _weight_change(middle, next(iter(masks.values())), delta, bottom)
    _patching(right, patching)
    for letter, axis in zip("abcdefghij", [*axes, left, middle, right], strict=False):
        axis.set_title(letter, loc="left", fontsize="medium", fontweight="bold")
    return figure


def _block_means(axis: Any, masks: dict[str, LayerMask]) -> None:
    for (name, mask), colour in zip(masks.items(), LINES * len(masks), strict=False):
        axis.plot(mask.blocks(), marker="o", markersize=3, linewidth=1.2, color=colour, label=name)
    axis.set(xlabel="decoder block", ylabel="mean gamma", ylim=(0, 1))
    axis.set_title("block means", fontsize="medium")
    axis.legend(frameon=False, fontsize=7, loc="upper center")
    _finish(axis)


def _weight_change(axis: Any, mask: LayerMask, delta: Any, figure: Any) -> None:
    table = delta.to_dataframe()
    table = table[[len(shape) > 1 for shape in delta.shape]]
    relative = {(b, c): r for b, c, r in zip(table["block"], table["component"], table["relative"], strict=True)}
    values = [relative.get((int(b), c), np.nan) for b, c in zip(mask.block, mask.component, strict=True)]
    components, cells = heat_map(mask, np.array(values))
    image = axis.imshow(cells, aspect="auto", cmap=MAP, vmin=0, interpolation="nearest")
    axis.set(xlabel="decoder block", yticks=range(len(components)), yticklabels=components)
    axis.set_title("weight change", fontsize="medium")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.colorbar(image, ax=axis, format=PercentFormatter(1.0, decimals=0), fraction=0.05, pad=0.02)


def _extremes(gamma: Any) -> str:
    low, high = gamma.argmin(), gamma.argmax()
    return f"{gamma[low]:.2f} (block {low}) to {gamma[high]:.2f} (block {high})"


def _patching(axis: Any, patching: Any) -> None:
    styles = {
        "resid": ("0.15", "s", "residual stream"),
        "attn": (COLOURS["base"], "o", "attention"),
        "mlp": (COLOURS["tuned"], "^", "MLP"),
    }
    for component, (colour, marker, label) in styles.items():
        found = patching.effect("diversity", "base->tuned", component)
        blocks = np.arange(len(found.estimate))
        axis.plot(blocks, found.estimate, color=colour, marker=marker, markersize=3, linewidth=1.2, label=label)
        axis.fill_between(blocks, found.low, found.high, color=colour, alpha=0.18, linewidth=0)
    axis.axhline(0, color="0.6", linewidth=0.8)
    axis.set(xlabel="patched block", ylabel="change in diversity")
    axis.set_title("base into tuned", fontsize="medium")
    axis.legend(frameon=False, fontsize=7)
    _finish(axis)


def draw_overlap(masks: dict[str, LayerMask], rate: float) -> Figure:
    """Share of common units of each two masks, beside what chance gives."""
    names = list(masks)
    cells = np.full((len(names), len(names)), np.nan)
    chance = ""
    figure = Figure(figsize=(2.2 + 0.75 * len(names), 1.1 + 0.5 * len(names)), layout="constrained")
    axis = figure.subplots()
    for i, one in enumerate(names):
        for j, other in enumerate(names):
            if i <= j:
                continue
            found = masks[one].overlap(masks[other], rate)
            cells[i, j] = found.share
            chance = f"chance {found.chance:.2f}; above {found.chance_high:.2f} in fewer than 2.5 %"
            colour = "white" if found.share < 0.6 else "black"
            axis.text(j, i, f"{found.share:.2f}", ha="center", va="center", fontsize=9, color=colour)
    image = axis.imshow(cells, aspect="auto", cmap=MAP, vmin=0, vmax=1)
    last = len(names) - 1
    axis.set(xticks=range(last), xticklabels=names[:-1], xlim=(-0.5, last - 0.5))
    axis.set(yticks=range(1, last + 1), yticklabels=names[1:], ylim=(last + 0.5, 0.5))
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    axis.set_title(f"units that two masks share, top {rate:.0%}\n({chance})", fontsize=9)
    figure.colorbar(image, ax=axis, label="share in common")
    return figure


def _finish(axis: Any) -> None:
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main(__doc__, run, options)

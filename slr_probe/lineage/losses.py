"""Stage losses and retained percents, with intervals: pure functions on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from slr_probe.defaults import LEVEL, RESAMPLES
from slr_probe.stats.grouped import mean_of_ratios_interval
from slr_probe.stats.interval import FEWEST, Interval, mean_interval, ratio_interval


@dataclass(frozen=True)
class Change:
    """What each stage after base did to one metric, in percent of base.

    Attributes:
        loss: 100 (D_stage - D_previous) / D_base, `[task, stage]`; negative is a loss.
        retained: 100 D_stage / D_base.
        mean_loss: Mean of `loss` over the tasks where it is defined, `[stage]`.
        mean_retained: Mean of `retained`.
        prompts: Number of prompts of each task on which base and all stages have the metric; only these count, so that
            100 plus the losses up to a stage is what it retained.
    """

    loss: Interval
    retained: Interval
    mean_loss: Interval
    mean_retained: Interval
    prompts: Int[ndarray, " task"]

    @property
    def defined(self) -> Bool[ndarray, " task"]:
        """Tasks on which there is anything to lose: the metric is defined, and base's interval lies above zero.

        Where there are too few prompts for an interval, base's mean stands for it.
        """
        return np.asarray(np.isfinite(self.retained.estimate).all(axis=1))


def changes(
    values: Float[ndarray, "task stage prompt"],
    parents: Sequence[int],
    kinds: Sequence[Sequence[str]],
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Change:
    """Stage losses of one metric per task, then their mean over tasks (arXiv 2604.16027).

    D of a stage is the mean over prompts, so a loss is a ratio of means; prompts are resampled, and all stages
    recomputed on the same ones. The mean over tasks resamples each task's prompts by themselves. A task where base's
    interval reaches zero, or base is zero in some resample (ours: a percent of next to nothing is noise), or the metric
    is nowhere defined, is NaN and left out of the mean. Where there are too few prompts for an interval, base's mean
    must lie above zero.

    Args:
        values: Scores, base first among the stages.
        parents: Place of the stage before each stage; -1 for base.
        kinds: Kind of each prompt of each task; empty where the values are means themselves.
        level: Nominal coverage.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.
    """
    tasks, later = len(values), values.shape[1] - 1
    options: dict[str, Any] = {"level": level, "resamples": resamples, "seed": seed}
    limits = {name: np.full((3, tasks, later), np.nan) for name in ("loss", "retained")}
    prompts = np.zeros(tasks, dtype=np.int64)
    parts: dict[str, list[Any]] = {"loss": [], "retained": []}
    bases, strata = [], []
    for t, rows in enumerate(values):
        used = np.isfinite(rows).all(axis=0)
        rows, prompts[t] = rows[:, used], used.sum()
        base = rows[0]
        labels = [kind for kind, keep in zip(kinds[t], used, strict=False) if keep] or None
        if not _above_zero(base, labels, options):
            continue
        percents = {"loss": 100 * (rows[1:] - rows[list(parents[1:])]), "retained": 100 * rows[1:]}
        found = {name: _shares(part, base, labels, options) for name, part in percents.items()}
        if len(base) >= FEWEST and not np.isfinite(found["retained"]).all():  # base is 0 in some resample
            continue
        for name, part in percents.items():
            limits[name][:, t] = found[name]
            parts[name].append(part)
        bases.append(base)
        strata.append(labels)
    return Change(
        loss=_interval(limits["loss"], level),
        retained=_interval(limits["retained"], level),
        mean_loss=_mean(parts["loss"], bases, strata, later, options),
        mean_retained=_mean(parts["retained"], bases, strata, later, options),
        prompts=prompts,
    )


def _interval(rows: Float[ndarray, "3 task stage"], level: float) -> Interval:
    estimate, low, high = rows
    return Interval(estimate, low, high, level)


def _above_zero(base: Float[ndarray, " prompt"], strata: Any, options: dict[str, Any]) -> bool:
    """Whether base has a metric to lose: its interval, or its mean where prompts are too few, lies above zero."""
    if not len(base) or (base < 0).any() or base.mean() <= 0:
        return False
    return len(base) < FEWEST or bool(mean_interval(base, strata=strata, **options).low > 0)


def _shares(
    part: Float[ndarray, "stage prompt"], base: Float[ndarray, " prompt"], strata: Any, options: dict[str, Any]
) -> Float[ndarray, "3 stage"]:
    """Ratio of means to that of base with its limits; without limits for a single prompt."""
    if len(base) < 2:
        nothing = np.full(len(part), np.nan)
        return np.stack([part[:, 0] / base[0], nothing, nothing])
    limits = ratio_interval(part, base, strata=strata, **options)
    return np.stack([limits.estimate, limits.low, limits.high])


def _mean(parts: list[Any], bases: list[Any], strata: list[Any], stages: int, options: dict[str, Any]) -> Interval:
    """Mean of the ratios over tasks; without limits where a task has a single prompt."""
    nothing = np.full(stages, np.nan)
    if not parts:
        return Interval(nothing, nothing, nothing, options["level"])
    if min(map(len, bases)) >= 2:
        return mean_of_ratios_interval(parts, bases, strata=strata, **options)
    ratios = [part.mean(axis=1) / base.mean() for part, base in zip(parts, bases, strict=True)]
    return Interval(np.mean(ratios, axis=0), nothing, nothing, options["level"])

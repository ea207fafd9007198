"""Stage losses and retained percents, with intervals: pure functions on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from slr_probe.stats.grouped import mean_of_ratios_interval
from slr_probe.stats.interval import Interval, ratio_interval


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
        """Tasks on which there is anything to lose: the metric is defined, and base's mean is above zero."""
        return np.asarray(np.isfinite(self.retained.estimate).all(axis=1))


def changes(
    values: Float[ndarray, "task stage prompt"],
    parents: Sequence[int],
    kinds: Sequence[Sequence[str]],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Change:
    """Stage losses of one metric per task, then their mean over tasks (arXiv 2604.16027).

    D of a stage is the mean over prompts, so a loss is a ratio of means; prompts are resampled, and all stages
    recomputed on the same ones. The mean over tasks resamples each task's prompts by themselves. A task where base's
    mean is not above zero, or the metric is nowhere defined, is NaN and left out of the mean.

    Args:
        values: Scores, base first among the stages.
        parents: Place of the stage before each stage; -1 for base.
        kinds: Kind of each prompt of each task; empty where the values are means themselves.
        level: Nominal coverage.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.
    """
    tasks, stages = values.shape[:2]
    shape = (tasks, stages - 1)
    found = {name: np.full((3, *shape), np.nan) for name in ("loss", "retained")}
    prompts = np.zeros(tasks, dtype=np.int64)
    pooled: dict[str, list[Any]] = {"loss": [], "retained": [], "reference": [], "strata": []}
    options: dict[str, Any] = {"level": level, "resamples": resamples, "seed": seed}
    for t in range(tasks):
        used = np.isfinite(values[t]).all(axis=0)
        rows, prompts[t] = values[t][:, used], used.sum()
        if not len(rows.T) or (rows[0] < 0).any() or rows[0].mean() <= 0:
            continue
        labels = [kind for kind, keep in zip(kinds[t], used, strict=False) if keep]
        parts = {"loss": 100 * (rows[1:] - rows[list(parents[1:])]), "retained": 100 * rows[1:]}
        strata = labels or None
        for name, part in parts.items():
            if rows.shape[1] >= 2:
                limits = ratio_interval(part, rows[0], strata=strata, **options)
                found[name][:, t] = limits.estimate, limits.low, limits.high
            else:
                found[name][0, t] = part[:, 0] / rows[0, 0]
            pooled[name].append(part)
        pooled["reference"].append(rows[0])
        pooled["strata"].append(strata)
    means = {name: _mean(pooled[name], pooled["reference"], pooled["strata"], stages - 1, options) for name in found}
    return Change(
        loss=Interval(found["loss"][0], found["loss"][1], found["loss"][2], level),
        retained=Interval(found["retained"][0], found["retained"][1], found["retained"][2], level),
        mean_loss=means["loss"],
        mean_retained=means["retained"],
        prompts=prompts,
    )


def _mean(
    values: list[Any], references: list[Any], strata: list[Any], stages: int, options: dict[str, Any]
) -> Interval:
    """Mean over tasks; without limits where a task has a single value."""
    nothing = np.full(stages, np.nan)
    if not values:
        return Interval(nothing, nothing, nothing, options["level"])
    if min(len(reference) for reference in references) >= 2:
        return mean_of_ratios_interval(values, references, strata=strata, **options)
    ratios = [part.mean(axis=1) / reference.mean() for part, reference in zip(values, references, strict=True)]
    return Interval(np.mean(ratios, axis=0), nothing, nothing, options["level"])

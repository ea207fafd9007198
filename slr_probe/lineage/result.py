"""`Lineage`: at which stage of post-training diversity was lost, and where in depth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.defaults import LEVEL, RESAMPLES
from slr_probe.errors import LineageError
from slr_probe.lineage.losses import Change, changes
from slr_probe.result import Result, limits, records
from slr_probe.scoring.decompose import Decomposition, decompose
from slr_probe.stats.interval import Interval, interval_where_defined

if TYPE_CHECKING:
    import pandas as pd


MEAN = "mean over tasks"
"""Name of the mean in tables, where it is a task of its own."""


@dataclass(frozen=True, eq=False, repr=False)
class Lineage(Result):
    """Diversity of every stage on every task, and what changed in depth.

    Attributes:
        stages: Names of the stages, base first.
        parents: For each stage the place of the one that it was trained from; -1 for base.
        tasks: Names of the tasks.
        metrics: Names of the metrics.
        values: Scores, prompt by prompt; NaN where undefined, and beyond the prompts of the task.
        prompt_ids: Ids of the prompts of each task; empty where only means are known.
        categories: Kind of each prompt, within which the bootstrap draws.
        metric: The metric that `stage_loss` and `retained` are about.
        weight_base: Relative change of the weights of each block against base; NaN where unknown.
        weight_previous: The same against the stage before.
        entropy: Logit-lens entropy (nats) of each stage's blocks on each lens prompt.
        entropy_base: That of base's blocks on the same prompts, in the stage's own chat format.
        lens_categories: Category of each lens prompt.
        level: Nominal coverage of the intervals.
        resamples: Bootstrap resamples over prompts.
        seed: Seed of the bootstrap.
        settings: What was asked for.
        notes: What a reader should know.
    """

    kind: ClassVar[str] = "slr_probe.lineage/1"
    view: ClassVar[str] = "lineage"

    stages: tuple[str, ...]
    parents: tuple[int, ...]
    tasks: tuple[str, ...]
    metrics: tuple[str, ...]
    values: Float[ndarray, "task stage metric prompt"]
    prompt_ids: tuple[tuple[str, ...], ...]
    categories: tuple[tuple[str, ...], ...]
    metric: str
    weight_base: Float[ndarray, "stage block"] = field(default_factory=lambda: np.zeros((0, 0)))
    weight_previous: Float[ndarray, "stage block"] = field(default_factory=lambda: np.zeros((0, 0)))
    entropy: Float[ndarray, "stage block prompt"] = field(default_factory=lambda: np.zeros((0, 0, 0)))
    entropy_base: Float[ndarray, "stage block prompt"] = field(default_factory=lambda: np.zeros((0, 0, 0)))
    lens_categories: tuple[str, ...] = ()
    level: float = LEVEL
    resamples: int = RESAMPLES
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    # -- when ----------------------------------------------------------------------------------------------------

    @property
    def stage_loss(self) -> pd.DataFrame:
        """100 (D_stage - D_previous) / D_base: rows tasks, columns the stages after base; negative is a loss.

        (arXiv 2604.16027; recomputed there per task.) The mean over tasks is `mean_stage_loss`.
        """
        return self._frame(self.change().loss)

    @property
    def retained(self) -> pd.DataFrame:
        """100 D_stage / D_base: percent of base's diversity that is left; rows tasks, columns the stages after base."""
        return self._frame(self.change().retained)

    @property
    def mean_stage_loss(self) -> pd.Series[float]:
        """Mean of `stage_loss` over the tasks where it is defined."""
        return self._series(self.change().mean_loss)

    @property
    def mean_retained(self) -> pd.Series[float]:
        """Mean of `retained` over the tasks where it is defined."""
        return self._series(self.change().mean_retained)

    def change(self, metric: str | None = None) -> Change:
        """Stage losses and retained percents by one metric, with paired bootstrap intervals over prompts.

        Raises:
            LineageError: The metric was not measured.
        """
        return self._changes[self.metrics.index(self._known(metric))]

    @cached_property
    def _changes(self) -> tuple[Change, ...]:
        by_metric = np.moveaxis(self.values, 2, 0)
        return tuple(changes(values, self.parents, self.categories, **self._options) for values in by_metric)

    def diversity(self, task: str, metric: str | None = None) -> Interval:
        """Mean over prompts of one metric for every stage, base included."""
        t = self._task(task)
        rows = self.values[t, :, self.metrics.index(self._known(metric)), : max(len(self.prompt_ids[t]), 1)]
        return interval_where_defined(rows, self.categories[t] or [""], **self._options)

    def decomposition(self, task: str, metric: str = "ead") -> Decomposition:
        """How much of each stage's loss is variety of errors, and how much spread among correct outputs.

        Raises:
            LineageError: The task's answers cannot be verified, or the metric was not measured on correct outputs.
        """
        if f"{metric}_correct" not in self.metrics:
            raise LineageError(f"no {metric!r} among correct outputs: it needs a task with accepted answers")
        t, n = self._task(task), len(self.prompt_ids[self._task(task)])
        at = [self.metrics.index(name) for name in (metric, f"{metric}_correct")]
        parts = {s: (self.values[t, i, at[0], :n], self.values[t, i, at[1], :n]) for i, s in enumerate(self.stages)}
        return decompose(parts, **self._options)

    # -- where ---------------------------------------------------------------------------------------------------

    @property
    def has_depth(self) -> bool:
        """Whether weight changes and entropies over depth are known."""
        return self.weight_base.size > 0

    def collapse(self, stage: str, *, previous: bool = False) -> Interval:
        """Entropy collapse at each block in nats, base - stage; with `previous`, what the stage added to it.

        Raises:
            LineageError: There is no such stage, or depth was not measured.
        """
        at = self.stage(stage)
        if not self.has_depth:
            raise LineageError("this lineage was made from outputs or scores: nothing is known of its layers")
        lost = self.entropy_base - self.entropy
        values = lost[at] - lost[self.parents[at]] if previous and self.parents[at] > 0 else lost[at]
        return interval_where_defined(values, self.lens_categories or [""] * values.shape[1], **self._options)

    # -- as tables -----------------------------------------------------------------------------------------------

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each metric, task (and mean over tasks) and stage, with limits as `_low` and `_high`."""
        import pandas as pd

        return pd.DataFrame([row for metric in self.metrics for row in self._rows(metric)])

    def depth_table(self) -> pd.DataFrame:
        """One row for each stage and block: weight change, and entropy collapse with its interval."""
        import pandas as pd

        parts = [pd.DataFrame(self._blocks(stage)) for stage in self.later] if self.has_depth else []
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "stages": list(self.stages),
            "previous": [None if parent < 0 else self.stages[parent] for parent in self.parents],
            "metric": self.metric,
            "table": records(self.to_dataframe()),
            "depth": records(self.depth_table()),
            "settings": dict(self.settings),
            "notes": list(self.notes),
        }

    def _rows(self, metric: str) -> list[dict[str, Any]]:
        """The table of one metric: its tasks, then their mean."""
        change, rows = self.change(metric), []
        for t in np.flatnonzero(change.prompts):
            task, levels = self.tasks[t], self.diversity(self.tasks[t], metric)
            for s in range(len(self.later)):
                row = self._place(metric, task, s) | {"prompts": int(change.prompts[t])}
                row |= {"base": levels.estimate[0], "value": levels.estimate[s + 1]}
                row |= limits("stage_loss", change.loss, (t, s)) | limits("retained", change.retained, (t, s))
                rows.append(row)
        if len(self.tasks) > 1 and change.defined.any():
            for s in range(len(self.later)):
                row = self._place(metric, MEAN, s) | {"prompts": int(change.prompts[change.defined].sum())}
                row |= limits("stage_loss", change.mean_loss, s) | limits("retained", change.mean_retained, s)
                rows.append(row)
        return rows

    def _place(self, metric: str, task: str, later: int) -> dict[str, Any]:
        stage, previous = self.later[later], self.stages[self.parents[later + 1]]
        return {"metric": metric, "task": task, "stage": stage, "previous": previous}

    def _blocks(self, stage: str) -> dict[str, Any]:
        """The table of one stage: a row a block."""
        at = self.stage(stage)
        columns = {
            "stage": stage,
            "previous": self.stages[self.parents[at]],
            "block": np.arange(self.weight_base.shape[1]),
            "weight_change_base": self.weight_base[at],
            "weight_change_previous": self.weight_previous[at],
        }
        added = self.collapse(stage, previous=True)
        return columns | limits("collapse", self.collapse(stage)) | limits("collapse_added", added)

    # -- places --------------------------------------------------------------------------------------------------

    @property
    def later(self) -> tuple[str, ...]:
        """The stages after base."""
        return self.stages[1:]

    def stage(self, name: str) -> int:
        """Place of a stage."""
        if name not in self.stages:
            raise LineageError(f"no stage {name!r}; there are {', '.join(self.stages)}")
        return self.stages.index(name)

    def _task(self, name: str) -> int:
        if name not in self.tasks:
            raise LineageError(f"no task {name!r}; there are {', '.join(self.tasks)}")
        return self.tasks.index(name)

    def _known(self, metric: str | None) -> str:
        if (metric or self.metric) not in self.metrics:
            raise LineageError(f"no metric {metric or self.metric!r}; there are {', '.join(self.metrics)}")
        return metric or self.metric

    @property
    def _options(self) -> dict[str, Any]:
        return {"level": self.level, "resamples": self.resamples, "seed": self.seed}

    def _frame(self, interval: Interval) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(interval.estimate, index=list(self.tasks), columns=list(self.later))

    def _series(self, interval: Interval) -> pd.Series[float]:
        import pandas as pd

        return pd.Series(interval.estimate, index=list(self.later))

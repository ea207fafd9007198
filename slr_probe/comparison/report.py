"""`ScoreReport`: scores of several models on the same prompts, each compared with the first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from slr_probe.comparison.paired import Comparisons, compare_scores
from slr_probe.defaults import LEVEL, RESAMPLES
from slr_probe.errors import ValidationError
from slr_probe.result import Result, limits, plain_value, records
from slr_probe.scoring.metrics import Metric, metric
from slr_probe.stats.calibration import calibration_interval
from slr_probe.stats.compare import State, difference_state, is_confirmed, smallest_p

if TYPE_CHECKING:
    import pandas as pd

    from slr_probe.stats.interval import Interval

Compared = Literal["better", "worse", "unclear", "undefined"]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ScoreReport(Result):
    """Diversity and quality of every model on every task, prompt by prompt.

    Attributes:
        tasks: Names of the tasks.
        models: Names of the models; all others are compared with the first, the reference.
        metrics: Names of the metrics; see `slr_probe.scoring.metrics`.
        values: Scores; NaN where undefined, and beyond the prompts of the task.
        prompt_ids: Ids of the prompts of each task.
        categories: Kind of each prompt, within which the bootstrap draws.
        primary: For each task the metrics that are looked at first, fixed before any result is seen.
        samples: Outputs a prompt on each task.
        level: Nominal coverage of the intervals, and 1 - level the level of the adjusted tests.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap and of the tests.
        settings: What was asked for.
        notes: What a reader should know.
    """

    tasks: tuple[str, ...]
    models: tuple[str, ...]
    metrics: tuple[str, ...]
    values: Float[ndarray, "task model metric prompt"]
    prompt_ids: tuple[tuple[str, ...], ...]
    categories: tuple[tuple[str, ...], ...]
    primary: tuple[tuple[str, ...], ...]
    samples: tuple[int, ...]
    level: float = LEVEL
    resamples: int = RESAMPLES
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """The model that all others are compared with."""
        return self.models[0]

    @property
    def chosen(self) -> tuple[str, ...]:
        """The models whose comparisons on the primary metrics are a family of tests of their own."""
        return self.models[1:]

    @cached_property
    def comparisons(self) -> Comparisons:
        """Every model against the reference, on every task and metric."""
        return self.against(self.reference)

    def against(self, reference: str) -> Comparisons:
        """Every model against another one than the reference, such as a control of equal width.

        Raises:
            ValidationError: There is no such model.
        """
        return compare_scores(self._compared, self.model(reference), self.is_primary, self.categories, **self._options)

    @property
    def is_primary(self) -> Bool[ndarray, "task model metric"]:
        """Which comparisons belong to the primary family: the chosen models on the primary metrics of a task."""
        chosen = np.array([name in self.chosen for name in self.models])
        wanted = np.array([[name in primary for name in self.metrics] for primary in self.primary])
        return np.asarray(chosen[None, :, None] & wanted[:, None, :])

    def scores(self, task: str, model: str, name: str) -> Float[ndarray, " prompt"]:
        """One metric of one model on each prompt of a task.

        Raises:
            ValidationError: The task, model or metric is not in the report.
        """
        at = self.at(task, model, name)
        return np.asarray(self.values[at][: len(self.prompt_ids[at[0]])])

    def about(self, name: str) -> Metric:
        """What a metric of this report is: one of the package, or one of the user's, as the settings say."""
        for own in self.settings.get("scorers", {}).get("metrics", ()):
            if own["name"] == name:
                return Metric(name, name, "own", -1 if own["better"] == "lower" else 1, printed=True)
        return metric(name)

    def silent(self, task: str, model: str) -> float:
        """Share of a model's outputs on a task that are empty; diversity is that of the others. NaN if not counted."""
        return float(np.mean(self.scores(task, model, "empty"))) if "empty" in self.metrics else float("nan")

    def any_silent(self, task: str) -> bool:
        """Whether any model has empty outputs on a task."""
        return any(self.silent(task, model) > 0 for model in self.models)

    def fewest(self, task: str) -> int:
        """Prompts that the thinnest of the primary comparisons of a task rests on; all of them without comparisons."""
        at = self.task(task)
        pairs = [
            int(self.comparisons.pairs[self.at(task, model, name)])
            for model in self.chosen
            for name in self.primary[at]
            if name in self.metrics
        ]
        return min(pairs, default=len(self.prompt_ids[at]))

    def calibration(self, task: str) -> Interval | None:
        """Expected calibration error of every model on a task with accepted answers; None on others.

        A model's answer to a prompt is what most of its samples say, its confidence the share of samples that agree
        (self-consistency; ours: arXiv 2510.17426 reads it from the probability of a token).
        """
        if not {"agreed", "majority"} <= set(self.metrics):
            return None
        at = self.task(task)
        pairs = [[self.scores(task, model, name) for model in self.models] for name in ("agreed", "majority")]
        sure, right = np.array(pairs[0]), np.array(pairs[1])
        used = np.isfinite(sure).all(axis=0) & np.isfinite(right).all(axis=0)
        if not used.any():
            return None
        kinds = [kind for kind, keep in zip(self.categories[at], used, strict=True) if keep]
        return calibration_interval(sure[:, used], right[:, used], strata=kinds, **self._options)

    def state(self, task: str, model: str, name: str) -> State:
        """What interval and adjusted test say of a model: `"more"` is more diverse or of higher quality.

        Where less of a metric is better, its sign is turned first.
        """
        found, at = self.comparisons, self.at(task, model, name)
        low, high = float(found.difference.low[at]), float(found.difference.high[at])
        if self.about(name).sign < 0:
            low, high = -high, -low
        return difference_state(low, high, float(found.adjusted[at]), self.level)

    def compared(self, task: str, model: str, name: str) -> Compared:
        """Whether a model is better: the test must confirm it in the family that was fixed beforehand."""
        state = self.state(task, model, name)
        if state == "undefined":
            return "undefined"
        if state == "same" or (state in ("more?", "less?") and self.is_primary[self.at(task, model, name)]):
            return "unclear"
        return "better" if state in ("more", "more?") else "worse"

    def can_confirm(self, task: str, model: str, name: str) -> bool:
        """Whether there are enough prompts for any difference to be confirmed among so many comparisons."""
        found, at = self.comparisons, self.at(task, model, name)
        return is_confirmed(smallest_p(int(found.pairs[at])) * int(found.tests[at]), self.level)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each task, model and metric: mean and difference with intervals, effect, p-values.

        Where outputs of a task are empty, their share is a row a model, with the mean alone.
        """
        import pandas as pd

        counted = np.argwhere(self.comparisons.count > 0)
        rows = [self._row(t, m, i) for t, m, i in counted.tolist()]
        return pd.DataFrame([*rows, *self._silences()])

    def _silences(self) -> list[dict[str, Any]]:
        return [
            {
                **self._row(t, m, self.metrics.index("empty")),
                "mean": self.silent(task, model),
                "prompts": len(self.prompt_ids[t]),
            }
            for t, task in enumerate(self.tasks)
            if self.any_silent(task)
            for m, model in enumerate(self.models)
        ]

    def _calibrations(self) -> list[dict[str, Any]]:
        """Calibration error of each model and task that has one, as plain data."""
        found = {task: self.calibration(task) for task in self.tasks}
        return [
            {"task": task, "model": model} | {k: plain_value(v) for k, v in limits("error", one, m).items()}
            for task, one in found.items()
            if one is not None
            for m, model in enumerate(self.models)
        ]

    def _row(self, t: int, m: int, i: int) -> dict[str, Any]:
        found, at, name = self.comparisons, (t, m, i), self.metrics[i]
        return {
            "task": self.tasks[t],
            "model": self.models[m],
            "metric": name,
            "role": self.about(name).role,
            "mean": found.mean.estimate[at],
            "low": found.mean.low[at],
            "high": found.mean.high[at],
            "prompts": found.count[at],
            **limits("difference", found.difference, at),
            "pairs": found.pairs[at],
            "effect": found.effect[at],
            "p": found.p[at],
            "p_adjusted": found.adjusted[at],
            "family": "primary" if self.is_primary[at] else "other",
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: tasks, table, settings, notes; undefined numbers are null."""
        tasks = zip(self.tasks, self.prompt_ids, self.samples, self.primary, strict=True)
        return {
            "tasks": [
                {"task": task, "prompts": len(ids), "samples": samples, "primary": list(primary)}
                for task, ids, samples, primary in tasks
            ],
            "table": records(self.to_dataframe()),
            "calibration": self._calibrations(),
            "settings": dict(self.settings),
            "notes": list(self.notes),
        }

    def task(self, name: str) -> int:
        """Row of a task."""
        return _find(name, self.tasks, "task")

    def model(self, name: str) -> int:
        """Row of a model."""
        return _find(name, self.models, "model")

    def at(self, task: str, model: str, name: str) -> tuple[int, int, int]:
        """Place of a comparison."""
        return self.task(task), self.model(model), _find(name, self.metrics, "metric")

    @property
    def _compared(self) -> Float[ndarray, "task model metric prompt"]:
        """Scores without the metrics that only record how numbers came about."""
        kept = self.values.copy()
        kept[:, :, [metric(name).role == "record" for name in self.metrics]] = np.nan
        return kept

    @property
    def _options(self) -> dict[str, Any]:
        return {"level": self.level, "resamples": self.resamples, "seed": self.seed}


def _find(name: str, names: tuple[str, ...], what: str) -> int:
    if name not in names:
        raise ValidationError(f"the report has no {what} {name!r}; it has {', '.join(names)}")
    return names.index(name)

"""`ValidationReport`: is the hybrid more diverse than tuned, and still good?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from slr_probe.defaults import LEVEL, RESAMPLES
from slr_probe.errors import ValidationError
from slr_probe.result import Result, limits, records
from slr_probe.scoring.comparison import Comparisons, compare
from slr_probe.scoring.decompose import Decomposition, decompose
from slr_probe.scoring.metrics import SPREAD, metric
from slr_probe.stats.compare import State, adjusted_tests, difference_state, is_confirmed, smallest_p
from slr_probe.stats.interval import Interval, interval_where_defined

if TYPE_CHECKING:
    import pandas as pd

Compared = Literal["better", "worse", "unclear", "undefined"]
METHOD = (
    "Intervals: BCa bootstrap over prompts, paired. p: sign-flip test of the difference to tuned; adjusted by Holm "
    "within two families: the chosen hybrids on the primary metrics, and all other comparisons. effect: Cohen's d of "
    "the paired differences."
)


@dataclass(frozen=True, eq=False, repr=False)
class ValidationReport(Result):
    """Diversity and quality of every model on every task, prompt by prompt.

    Attributes:
        tasks: Names of the tasks.
        models: Names of the models; the first is `"tuned"`, which all others are compared with.
        kinds: Kind of each model: `"tuned"`, `"hybrid"`, or the name of a baseline.
        curve_labels: Models with one label form a curve in the diversity-quality plane; empty for single points.
        metrics: Names of the metrics; see `slr_probe.scoring.metrics`.
        values: Scores; NaN where undefined, and beyond the prompts of the task.
        prompt_ids: Ids of the prompts of each task.
        categories: Kind of each prompt, within which the bootstrap draws.
        primary: For each task the diversity and the quality metric that the verdict is about, fixed beforehand.
        samples: Outputs a prompt on each task.
        curve_at: Numbers of samples at which distinct answers were counted.
        curves: Expected distinct accepted answers among that many of the samples; NaN without accepted answers.
        crc_models: Models that were also scored on the CRC task.
        crc_diversity: Their diversity (fraction of log |V|) on each held-out CRC prompt.
        crc_validity: Their validity (probability) there.
        crc_categories: Category of each CRC prompt.
        level: Nominal coverage of the intervals, and 1 - level the level of the adjusted tests.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap and of the sign-flip tests.
        settings: What was asked for: checkpoints, their fingerprints, sampling, recipes, tasks, versions.
        notes: What a reader should know.
    """

    kind: ClassVar[str] = "slr_probe.validation/1"
    view: ClassVar[str] = "validation"

    tasks: tuple[str, ...]
    models: tuple[str, ...]
    kinds: tuple[str, ...]
    curve_labels: tuple[str, ...]
    metrics: tuple[str, ...]
    values: Float[ndarray, "task model metric prompt"]
    prompt_ids: tuple[tuple[str, ...], ...]
    categories: tuple[tuple[str, ...], ...]
    primary: tuple[tuple[str, str], ...]
    samples: tuple[int, ...]
    curve_at: Int[ndarray, " k"]
    curves: Float[ndarray, "task model k prompt"]
    crc_models: tuple[str, ...]
    crc_diversity: Float[ndarray, "model prompt"]
    crc_validity: Float[ndarray, "model prompt"]
    crc_categories: tuple[str, ...] = ()
    level: float = LEVEL
    resamples: int = RESAMPLES
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @cached_property
    def comparisons(self) -> Comparisons:
        """Every model against tuned, on every task and metric."""
        return self.against("tuned")

    def against(self, reference: str) -> Comparisons:
        """Every model against another one than tuned, such as a control of equal width.

        Raises:
            ValidationError: There is no such model.
        """
        return compare(self._compared, self.model(reference), self.is_primary, self.categories, **self._options)

    @property
    def is_primary(self) -> Any:
        """Which `[task, model, metric]` belong to the primary family: hybrids on the primary metrics of a task."""
        hybrid = np.array([kind == "hybrid" for kind in self.kinds])
        wanted = np.array([[name in pair for name in self.metrics] for pair in self.primary])
        return hybrid[None, :, None] & wanted[:, None, :]

    def scores(self, task: str, model: str, name: str) -> Float[ndarray, " prompt"]:
        """One metric of one model on each prompt of a task.

        Raises:
            ValidationError: The task, model or metric is not in the report.
        """
        at = self.at(task, model, name)
        return np.asarray(self.values[at][: len(self.prompt_ids[at[0]])])

    def distinct(self, task: str, model: str) -> Interval:
        """Mean number of distinct accepted answers among `curve_at` samples, with intervals over prompts."""
        at = self.task(task)
        values = self.curves[at, self.model(model), :, : len(self.prompt_ids[at])]
        return interval_where_defined(values, self.categories[at], **self._options)

    @cached_property
    def decomposed(self) -> tuple[str, ...]:
        """Metrics that were measured on all outputs and on the correct ones alone."""
        return tuple(name for name in SPREAD if f"{name}_correct" in self.metrics)

    def decomposition(
        self, task: str, name: str | None = None, reference: str = "tuned", models: Sequence[str] | None = None
    ) -> Decomposition:
        """Variety of errors and spread among correct outputs, for every model of a task; see `decompose`.

        Args:
            task: A task whose answers can be verified.
            name: One of `decomposed`; default: the first.
            reference: Model that losses are measured from.
            models: Which others; default: all. A prompt counts only where every one of them has two correct outputs.

        Raises:
            ValidationError: No output of the task could be verified, or an unknown name.
        """
        chosen = name or next(iter(self.decomposed), None)
        if chosen not in self.decomposed:
            known = ", ".join(self.decomposed) or "EAD"
            raise ValidationError(f"no decomposition by {chosen!r}: it needs a task with answers and one of {known}")
        rest = [model for model in models or self.models if model != reference]
        scores = {
            model: (self.scores(task, model, chosen), self.scores(task, model, f"{chosen}_correct"))
            for model in (self.models[self.model(reference)], *rest)
        }
        return decompose(scores, **self._options)

    def state(self, task: str, model: str, name: str) -> State:
        """What interval and adjusted test say of a model against tuned: `"more"` is more diverse or of higher quality.

        Where less of a metric is better, its sign is turned first.
        """
        found, at = self.comparisons, self.at(task, model, name)
        low, high = float(found.difference.low[at]), float(found.difference.high[at])
        if metric(name).sign < 0:
            low, high = -high, -low
        return difference_state(low, high, float(found.adjusted[at]), self.level)

    def compared(self, task: str, model: str, name: str) -> Compared:
        """Whether a model is better than tuned: the test must confirm it in the family that was fixed beforehand."""
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

    @cached_property
    def endless(self) -> tuple[tuple[str, str], ...]:
        """Tasks and hybrids whose outputs end by themselves less often than tuned's.

        Restored blocks can take with them what post-training taught about stopping, which a task of one token cannot
        see. The interval must lie below 0 and the test, adjusted over hybrids and tasks (ours), must confirm it.
        """
        cells = [(task, model) for task in self.tasks for model in self.hybrids if "ended" in self.metrics]
        moved = [self.scores(*cell, "ended") - self.scores(cell[0], self.models[0], "ended") for cell in cells]
        adjusted, high = adjusted_tests(moved, seed=self.seed), self.comparisons.difference.high
        return tuple(
            cell
            for cell, p in zip(cells, adjusted, strict=True)
            if high[self.at(*cell, "ended")] < 0 and is_confirmed(float(p), self.level)
        )

    def crc_gain(self, model: str) -> Interval | None:
        """Diversity of a hybrid above tuned's on the CRC prompts; None where one of them was not scored there."""
        if "tuned" not in self.crc_models or model not in self.crc_models:
            return None
        own, tuned = (self.crc_diversity[self.crc_models.index(name)] for name in (model, "tuned"))
        kinds = self.crc_categories or [""] * self.crc_diversity.shape[1]
        return interval_where_defined((own - tuned)[None], kinds, **self._options)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each task, model and metric: mean and difference to tuned with intervals, effect, p-values."""
        import pandas as pd

        counted = np.argwhere(self.comparisons.count > 0)
        return pd.DataFrame([self._row(t, m, i) for t, m, i in counted.tolist()])

    def _row(self, t: int, m: int, i: int) -> dict[str, Any]:
        found, at, name = self.comparisons, (t, m, i), self.metrics[i]
        return {
            "task": self.tasks[t],
            "model": self.models[m],
            "kind": self.kinds[m],
            "metric": name,
            "role": metric(name).role,
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
        """Plain data for JSON: verdicts, table, settings, notes; undefined numbers are null."""
        tasks = zip(self.tasks, self.prompt_ids, self.samples, self.primary, strict=True)
        return {
            "verdicts": list(self.verdicts),
            "endings": list(self.endings),
            "carry_over": list(self.carry_over),
            "correct_only": list(self.correct_only),
            "method": METHOD,
            "tasks": [
                {"task": task, "prompts": len(ids), "samples": samples, "diversity": pair[0], "quality": pair[1]}
                for task, ids, samples, pair in tasks
            ],
            "table": records(self.to_dataframe()),
            "settings": dict(self.settings),
            "notes": list(self.notes),
        }

    @cached_property
    def verdicts(self) -> tuple[str, ...]:
        """A sentence for each hybrid and task that the numbers support."""
        return tuple(self._view().verdicts(self))

    @cached_property
    def endings(self) -> tuple[str, ...]:
        """A sentence for each hybrid and task where outputs stop by themselves less often than tuned's."""
        return tuple(self._view().endings(self))

    @cached_property
    def carry_over(self) -> tuple[str, ...]:
        """A sentence for each hybrid: does its gain on CRC show on the tasks?"""
        return tuple(self._view().carry_over(self))

    @cached_property
    def correct_only(self) -> tuple[str, ...]:
        """A sentence for each hybrid and verifiable task: is it spread among correct outputs, or variety of errors?"""
        return tuple(self._view().correct_only(self))

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
    def hybrids(self) -> tuple[str, ...]:
        """The chosen hybrids."""
        return tuple(name for name, kind in zip(self.models, self.kinds, strict=True) if kind == "hybrid")

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

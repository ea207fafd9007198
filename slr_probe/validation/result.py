"""`ValidationReport`: is the hybrid more diverse than tuned, and still good?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from slr_probe.defaults import LEVEL, RESAMPLES
from slr_probe.errors import ValidationError
from slr_probe.result import Result
from slr_probe.scoring.comparison import Comparisons, compare
from slr_probe.scoring.decompose import Decomposition, decompose
from slr_probe.scoring.metrics import metric
from slr_probe.show import validation_sentences as verdict
from slr_probe.show import validation_text as report_text
from slr_probe.stats.interval import Interval, interval_where_defined

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


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

    # -- numbers -------------------------------------------------------------------------------------------------

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
        at = self.task(task)
        return np.asarray(self.values[at, self.model(model), self._metric(name), : len(self.prompt_ids[at])])

    def distinct(self, task: str, model: str) -> Interval:
        """Mean number of distinct accepted answers among `curve_at` samples, with intervals over prompts."""
        at = self.task(task)
        values = self.curves[at, self.model(model), :, : len(self.prompt_ids[at])]
        return interval_where_defined(values, self.categories[at], **self._options)

    def decomposition(
        self, task: str, name: str | None = None, reference: str = "tuned", models: Sequence[str] | None = None
    ) -> Decomposition:
        """Variety of errors and spread among correct outputs, for every model of a task; see `decompose`.

        Args:
            task: A task whose answers can be verified.
            name: `"embedding_distance"`, `"ead"` or `"bleu_distance"`; default: the first of them that was measured.
            reference: Model that losses are measured from.
            models: Which others; default: all. A prompt counts only where every one of them has two correct outputs.

        Raises:
            ValidationError: No output of the task could be verified, or an unknown name.
        """
        both = [one for one in ("embedding_distance", "ead", "bleu_distance") if f"{one}_correct" in self.metrics]
        chosen = name or next(iter(both), None)
        if chosen not in both:
            raise ValidationError(
                f"no decomposition by {chosen!r}: it needs a task with answers and one of {', '.join(both) or 'EAD'}"
            )
        rest = [model for model in models or self.models if model != reference]
        scores = {
            model: (self.scores(task, model, chosen), self.scores(task, model, f"{chosen}_correct"))
            for model in (self.models[self.model(reference)], *rest)
        }
        return decompose(scores, **self._options)

    # -- words ---------------------------------------------------------------------------------------------------

    @cached_property
    def verdicts(self) -> tuple[str, ...]:
        """A sentence for each hybrid and task that the numbers support."""
        return verdict.verdicts(self)

    @cached_property
    def endings(self) -> tuple[str, ...]:
        """A sentence for each hybrid and task where outputs stop by themselves less often than tuned's."""
        return verdict.endings(self)

    @cached_property
    def carry_over(self) -> tuple[str, ...]:
        """A sentence for each hybrid: does its gain on CRC show on the tasks?"""
        return verdict.carry_over(self)

    @cached_property
    def correct_only(self) -> tuple[str, ...]:
        """A sentence for each hybrid and verifiable task: is it spread among correct outputs, or variety of errors?"""
        return verdict.correct_only(self)

    # -- showing it ----------------------------------------------------------------------------------------------

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each task, model and metric: mean and difference to tuned with intervals, effect, p-values."""
        return report_text.table(self)

    def plot(self, **options: Any) -> Figure:
        """Diversity against quality, a panel a task, and distinct answers against the number of samples."""
        from slr_probe.show.validation import plot_validation

        return plot_validation(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: verdicts, table, settings, notes."""
        return report_text.plain(self)

    def __repr__(self) -> str:
        return report_text.text(self)

    def _repr_html_(self) -> str:
        return report_text.html(self)

    # -- places --------------------------------------------------------------------------------------------------

    def task(self, name: str) -> int:
        """Row of a task."""
        return _find(name, self.tasks, "task")

    def model(self, name: str) -> int:
        """Row of a model."""
        return _find(name, self.models, "model")

    def _metric(self, name: str) -> int:
        return _find(name, self.metrics, "metric")

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

"""`ValidationReport`: is the hybrid more diverse than tuned, and still good?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar

from jaxtyping import Float, Int
from numpy import ndarray

from slr_probe.comparison.report import ScoreReport
from slr_probe.errors import ValidationError
from slr_probe.result import plain_value
from slr_probe.scoring.decompose import Decomposition, decompose
from slr_probe.scoring.metrics import SPREAD
from slr_probe.stats.compare import adjusted_tests, is_confirmed
from slr_probe.stats.interval import Interval, interval_where_defined
from slr_probe.validation.warmer import BesideWarmer, beside_warmer

METHOD = (
    "Intervals: BCa bootstrap over prompts, paired. p: the larger of a sign-flip test and a t test corrected for skew, "
    "of the difference to tuned; adjusted by Holm within two families: the chosen hybrids on the primary metrics, and "
    "all other comparisons. effect: Cohen's d of "
    "the paired differences."
)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ValidationReport(ScoreReport):
    """Diversity and quality of tuned, hybrids and baselines on every task, prompt by prompt.

    The first model is `"tuned"`. `primary` holds one metric of diversity and one of quality for each task.

    Attributes:
        kinds: Kind of each model: `"tuned"`, `"hybrid"`, or the name of a baseline.
        curve_labels: Models with one label form a curve in the diversity-quality plane; empty for single points.
        curve_at: Numbers of samples at which distinct answers were counted.
        curves: Expected distinct accepted answers among that many of the samples; NaN without accepted answers.
        crc_models: Models that were also scored on the CRC task.
        crc_diversity: Their diversity (fraction of log |V|) on each held-out CRC prompt.
        crc_validity: Their validity (probability) there.
        crc_categories: Category of each CRC prompt.
    """

    kind: ClassVar[str] = "slr_probe.validation/1"
    view: ClassVar[str] = "validation"

    kinds: tuple[str, ...]
    curve_labels: tuple[str, ...]
    curve_at: Int[ndarray, " k"]
    curves: Float[ndarray, "task model k prompt"]
    crc_models: tuple[str, ...]
    crc_diversity: Float[ndarray, "model prompt"]
    crc_validity: Float[ndarray, "model prompt"]
    crc_categories: tuple[str, ...] = ()

    @property
    def hybrids(self) -> tuple[str, ...]:
        """The chosen hybrids."""
        return tuple(name for name, kind in zip(self.models, self.kinds, strict=True) if kind == "hybrid")

    @property
    def chosen(self) -> tuple[str, ...]:
        """The chosen hybrids; baselines are compared in the other family."""
        return self.hybrids

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

    @cached_property
    def beside_warmer(self) -> tuple[BesideWarmer, ...]:
        """Every hybrid on every task beside tuned at a temperature that costs no more quality than the hybrid."""
        tuned = [name for name, kind in zip(self.models, self.kinds, strict=True) if kind in ("tuned", "temperature")]
        return beside_warmer(self, self.hybrids, tuned)

    def _row(self, t: int, m: int, i: int) -> dict[str, Any]:
        row = super()._row(t, m, i)
        names = {"task": row["task"], "model": row["model"], "kind": self.kinds[m]}
        return {**names, **row}

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: verdicts, table, settings, notes; undefined numbers are null."""
        tasks = zip(self.tasks, self.prompt_ids, self.samples, self.primary, strict=True)
        return {
            "verdicts": list(self.verdicts),
            "warmer": list(self.warmer),
            "endings": list(self.endings),
            "beside_warmer": [{k: plain_value(v) for k, v in asdict(one).items()} for one in self.beside_warmer],
            "carry_over": list(self.carry_over),
            "correct_only": list(self.correct_only),
            "method": METHOD,
            **super().to_dict(),
            "tasks": [
                {"task": task, "prompts": len(ids), "samples": samples, "diversity": pair[0], "quality": pair[1]}
                for task, ids, samples, pair in tasks
            ],
        }

    @cached_property
    def verdicts(self) -> tuple[str, ...]:
        """A sentence for each hybrid and task that the numbers support."""
        return tuple(self._view().verdicts(self))

    @cached_property
    def warmer(self) -> tuple[str, ...]:
        """A sentence for each hybrid and task: is it more diverse than a warmer tuned model that is as good?"""
        return tuple(self._view().warmer(self))

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

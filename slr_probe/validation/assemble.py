"""From scores to a `ValidationReport` on disk, with everything that is needed to compute it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.recipe import Recipe
from slr_probe.scoring.measures import Scores
from slr_probe.scoring.metrics import ordered, primary_metrics
from slr_probe.scoring.record import record_sampling, record_scorers, record_tasks, versions
from slr_probe.scoring.scoring import Scorers
from slr_probe.tasks.text import TextTask
from slr_probe.validation.crc import CRCScores
from slr_probe.validation.methods import Method
from slr_probe.validation.result import ValidationReport

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair

_WEIGHTS = ("tuned", "hybrid", "early", "late", "random", "soup")


@dataclass(frozen=True)
class Scored:
    """What was measured on one task.

    Attributes:
        scores: Scores of each method.
        curves: Distinct accepted answers of each method, `[k, prompt]`.
        at: The numbers of samples `k`.
    """

    scores: Mapping[str, Scores]
    curves: Mapping[str, Float[ndarray, "k prompt"]]
    at: tuple[int, ...]


@dataclass(frozen=True)
class Inputs:
    """What is validated and how.

    Attributes:
        tasks: The tasks, in the size that is run.
        methods: The methods; the first is tuned.
        settings: Record of all of it.
        level: Nominal coverage of the intervals.
        resamples: Bootstrap resamples.
        seed: Seed of everything.
    """

    tasks: Sequence[TextTask]
    methods: Sequence[Method]
    settings: dict[str, Any]
    level: float
    resamples: int
    seed: int

    @property
    def most_prompts(self) -> int:
        """Prompts of the largest task."""
        return max(len(task.items) for task in self.tasks)

    @property
    def weights(self) -> dict[str, Recipe]:
        """Recipes of the methods that differ in their weights and not in how they are sampled."""
        return {m.name: m.recipe for m in self.methods if m.recipe is not None and m.kind in _WEIGHTS}


def settings_of(
    pair: ModelPair, tasks: Sequence[TextTask], methods: Sequence[Method], scorers: Scorers, preset: str
) -> dict[str, Any]:
    """Record of what is asked for: checkpoints with fingerprints, tasks, methods, scoring models, versions."""
    from slr_probe.pair.side import recorded

    return {
        "base": {"checkpoint": str(pair.base_side), **recorded(pair.base_side)},
        "tuned": {"checkpoint": str(pair.tuned_side), **recorded(pair.tuned_side)},
        "dtype": str(pair.dtype or "as stored"),
        "device": str(pair.device),
        "preset": preset,
        "tasks": record_tasks(tasks),
        "methods": [
            {
                "name": method.name,
                "kind": method.kind,
                "recipe": None if method.recipe is None else method.recipe.to_dict(),
                "sampling": record_sampling(method.sampling),
                "wording": method.wording,
                **({} if method.route is None else {"route": method.route.threshold}),
            }
            for method in methods
        ],
        "scorers": record_scorers(scorers),
        "library": versions(),
    }


def assemble(inputs: Inputs, scored: Sequence[Scored], crc: CRCScores, notes: Sequence[str]) -> ValidationReport:
    """Put the scores of all tasks, in order, into one report."""
    tasks, methods = inputs.tasks, inputs.methods
    names = ordered({name for part in scored for scores in part.scores.values() for name in scores})
    points = tuple(sorted({k for part in scored for k in part.at}))
    return ValidationReport(
        tasks=tuple(task.name for task in tasks),
        models=tuple(method.name for method in methods),
        kinds=tuple(method.kind for method in methods),
        curve_labels=tuple(method.curve for method in methods),
        metrics=names,
        values=_values(inputs, scored, names),
        prompt_ids=tuple(tuple(item.id for item in task.items) for task in tasks),
        categories=tuple(tuple(item.kind for item in task.items) for task in tasks),
        primary=tuple(primary_metrics(task, names) for task in tasks),
        samples=tuple(task.samples for task in tasks),
        curve_at=np.array(points),
        curves=_curves(inputs, scored, points),
        crc_models=crc.models,
        crc_diversity=crc.diversity,
        crc_validity=crc.validity,
        crc_categories=crc.categories,
        level=inputs.level,
        resamples=inputs.resamples,
        seed=inputs.seed,
        settings={**inputs.settings, "crc_split": crc.split},
        notes=tuple(notes),
    )


def _values(
    inputs: Inputs, scored: Sequence[Scored], names: Sequence[str]
) -> Float[ndarray, "task model metric prompt"]:
    values = np.full((len(inputs.tasks), len(inputs.methods), len(names), inputs.most_prompts), np.nan)
    for t, (task, part) in enumerate(zip(inputs.tasks, scored, strict=True)):
        for m, method in enumerate(inputs.methods):
            for name, found in part.scores[method.name].items():
                values[t, m, names.index(name), : len(task.items)] = found
    return values


def _curves(inputs: Inputs, scored: Sequence[Scored], points: Sequence[int]) -> Float[ndarray, "task model k prompt"]:
    curves = np.full((len(inputs.tasks), len(inputs.methods), len(points), inputs.most_prompts), np.nan)
    for t, (task, part) in enumerate(zip(inputs.tasks, scored, strict=True)):
        places = [points.index(k) for k in part.at]
        for m, method in enumerate(inputs.methods):
            curves[t, m, places, : len(task.items)] = part.curves[method.name]
    return curves

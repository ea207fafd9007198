"""CRC beside the tasks: which soup the same rule would choose, and what each hybrid gains on held-out prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.errors import PromptError, TaskError
from slr_probe.forward.budget import parse_bytes
from slr_probe.pair.prompts import Format
from slr_probe.progress import step
from slr_probe.rank.blocks.weights import changed_blocks
from slr_probe.rank.candidates import references
from slr_probe.rank.measure import Scorer
from slr_probe.rank.order import best_allowed
from slr_probe.recipe import Recipe
from slr_probe.sweep.settings import Measure, as_queries
from slr_probe.tasks.crc import CRCTask

if TYPE_CHECKING:
    from slr_probe.executor import Executor
    from slr_probe.pair import ModelPair


@dataclass(frozen=True)
class CRCScores:
    """Exact scores of some models on CRC prompts that no choice was made on.

    Attributes:
        models: Names.
        diversity: Fraction of log |V|.
        validity: Probability of the valid set.
        categories: Category of each prompt.
        split: Which prompts these are: `"held-out"`, or `"selection"` where none are held out.
        notes: What a reader should know.
    """

    models: tuple[str, ...] = ()
    diversity: Float[ndarray, "model prompt"] = field(default_factory=lambda: np.zeros((0, 0)))
    validity: Float[ndarray, "model prompt"] = field(default_factory=lambda: np.zeros((0, 0)))
    categories: tuple[str, ...] = ()
    split: str = "held-out"
    notes: tuple[str, ...] = ()


class CRC:
    """The CRC task, measured with the sweep engine.

    Args:
        pair: The pair.
        task: The task; None for the built-in one, False for none.
        memory: What the sweep may use.
        format: Prompt format; None for the pair's default.
        temperature: Temperature of the distributions.
        min_p: Min-p of the distributions.
        out: Folder in which sweeps are kept; None keeps nothing.
        executor: Who does the sweeps; None for this process, uncut.
        progress: Whether to show bars.

    Raises:
        SweepError: The memory limit is no size, or temperature or min-p is out of its range.
    """

    def __init__(
        self,
        pair: ModelPair,
        task: CRCTask | bool | None,
        *,
        memory: str | int,
        format: Format | None = None,
        temperature: float = 1.0,
        min_p: float = 0.0,
        out: Path | None = None,
        executor: Executor | None = None,
        progress: bool | None = None,
    ) -> None:
        Measure(temperature, min_p)
        parse_bytes(memory)
        self.pair, self.format, self.out = pair, format, out
        self.task: CRCTask | None = CRCTask.default() if task is None or task is True else task or None
        self.sampling = {"temperature": temperature, "min_p": min_p}
        self.engine: dict[str, Any] = {"memory": memory, "executor": executor, "progress": progress, **self.sampling}
        self.notes: list[str] = []
        self._scorers: dict[str, Scorer] = {}

    def scorer(self, split: str) -> Scorer | None:
        """Measures recipes on one split; None, with a note, where the questions cannot be put to the models."""
        if self.task is None:
            return None
        if split not in self._scorers:
            part = self.task.selection if split == "selection" else self.task.held_out
            if part is None:
                return None
            try:
                rendered = part.render(self.pair, self.format)
                as_queries(self.pair, rendered)
            except (TaskError, PromptError) as error:
                self.task = None
                self.notes.append(f"nothing was measured on CRC: {error}")
                return None
            kept = None if self.out is None else self.out / split
            self._scorers[split] = Scorer(self.pair, rendered, changed_blocks(self.pair), self.engine, kept)
        return self._scorers[split]

    @step("soup")
    def best_soup(self, floor: float) -> Recipe | None:
        """The uniform interpolation with most diversity on the selection prompts among those that keep enough validity.

        The rule and the floor are those of the search for ranges, over the same 21 shares as `rank_layers`. Where none
        keeps `floor` times tuned's validity, the one that keeps most. Tuned itself (share 1) may win.
        """
        scorer = self.scorer("selection")
        if scorer is None:
            return None
        rows, notes = references(self.pair)
        self.notes += [note for note in notes if note not in self.notes]
        soups = [row.recipe for row in rows if row.kind == "soup"]
        validity, diversity = (found.mean(axis=1) for found in scorer([Recipe.tuned(self.pair.depth), *soups]))
        return soups[best_allowed(diversity[1:], validity[1:], floor * validity[0])]

    def expected_seconds(self, recipes: Sequence[Recipe], *, soup: bool) -> float | None:
        """Seconds of measuring recipes on the held-out prompts, and soups where asked for; None where unknown."""
        split = "held_out" if self.task is not None and self.task.held_out is not None else "selection"
        scorer = self.scorer(split)
        if scorer is None:
            return 0.0
        seconds = scorer.expected_seconds(recipes)
        soups = [row.recipe for row in references(self.pair)[0] if row.kind == "soup"] if soup else []
        return None if seconds is None else seconds * (1 + scorer.work(soups) / max(scorer.work(recipes), 1))

    @step("CRC")
    def held_out(self, recipes: Mapping[str, Recipe]) -> CRCScores:
        """Scores of recipes on the held-out prompts, or on the selection prompts where there are no others."""
        split = "held_out" if self.task is not None and self.task.held_out is not None else "selection"
        scorer = self.scorer(split)
        if scorer is None:
            return CRCScores(notes=tuple(self.notes))
        validity, diversity = scorer(list(recipes.values()))
        categories: Sequence[str] = getattr(scorer.task, "categories", ())
        return CRCScores(
            tuple(recipes), diversity, validity, tuple(categories), split.replace("_", "-"), tuple(self.notes)
        )

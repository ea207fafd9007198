"""`Meter`: measures recipes with the sweep engine, each distinct hybrid once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.block_weight import TUNED
from slr_probe.files import digest
from slr_probe.recipe import Recipe
from slr_probe.tasks.answers import Query

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair

Scores = tuple[Float[ndarray, "recipe prompt"], Float[ndarray, "recipe prompt"]]


@dataclass
class Meter:
    """Validity and diversity of recipes on one set of prompts; what was measured is remembered.

    Attributes:
        pair: The pair.
        task: Anything with `queries(pair)`.
        changed: Blocks that differ between base and tuned; the others are the same wherever they come from.
        engine: Options of `sweep`.
        out: Beginning of the name of the folders that the sweeps write to; a hash of the recipes follows, so that the
            same recipes are found again. None keeps results in memory only.
    """

    pair: ModelPair
    task: Any
    changed: frozenset[int]
    engine: dict[str, Any] = field(default_factory=dict)
    out: Path | None = None
    _known: dict[Recipe, tuple[Float[ndarray, " prompt"], Float[ndarray, " prompt"]]] = field(default_factory=dict)

    def __call__(self, recipes: Iterable[Recipe]) -> Scores:
        """Validity and diversity (fraction of log |V|) of each recipe and prompt.

        A prompt on which a hybrid has no valid mass at all (min-p can remove it) has no diversity; it counts as 0.
        """
        wanted = [self.essence(recipe) for recipe in recipes]
        new = [recipe for recipe in dict.fromkeys(wanted) if recipe not in self._known]
        if new:
            self._measure(new)
        validity, diversity = zip(*(self._known[recipe] for recipe in wanted), strict=True)
        return np.array(validity), np.array(diversity)

    def essence(self, recipe: Recipe) -> Recipe:
        """The recipe with every block that is the same in base and tuned taken from tuned."""
        blocks = tuple(block if i in self.changed else TUNED for i, block in enumerate(recipe.blocks))
        return replace(recipe, blocks=blocks, name="")

    @property
    def measured(self) -> int:
        """Number of distinct hybrids measured so far."""
        return len(self._known)

    @property
    def sampling(self) -> dict[str, float]:
        """Temperature and min-p of the distributions that are scored, where they were given."""
        return {name: self.engine[name] for name in ("temperature", "min_p") if name in self.engine}

    @property
    def queries(self) -> Sequence[Query]:
        """The questions."""
        found: Sequence[Query] = self.task.queries(self.pair)
        return found

    def _measure(self, recipes: list[Recipe]) -> None:
        from slr_probe.sweep import sweep

        asked = digest([recipe.to_dict() for recipe in recipes])[:12]
        out = None if self.out is None else self.out.with_name(f"{self.out.name}-{asked}")
        result = sweep(self.pair, recipes, self.task, out=out, **self.engine)
        for recipe, validity, diversity in zip(recipes, result.validity, result.diversity, strict=True):
            self._known[recipe] = (validity, np.nan_to_num(diversity, nan=0.0))

"""`SweepResult`: what every hybrid of a sweep answers to every prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from slr_probe.errors import RecipeError, SweepError
from slr_probe.layers import LayerRange
from slr_probe.recipe import Recipe, as_recipe
from slr_probe.result import Result
from slr_probe.stats.entropy import conditional_entropy, validity
from slr_probe.sweep.replies import ReplyScores

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class SweepResult(Result):
    """Exact next-token distributions over the answers, and scores of replies, for every recipe.

    Attributes:
        answer_logprobs: Log-probability (nats) that the reply begins with each answer, all its spellings summed, padded
            with -inf. Where one answer begins another ("1" and "17"), a reply counts for the longer.
        sizes: Number of answers of each prompt, |V|.
        invalid_tokens: Ids of the likeliest tokens that are no answer, most likely first.
        invalid_logprobs: Their log-probabilities in nats.
        recipe_data: The recipes as plain data; read `recipes`.
        settings: How it was measured: dtype, temperature, min-p, versions, fingerprints of the checkpoints; of a sweep
            of 20 s or more in this process `matmul_share`, the share of the device's rate of matrix products reached.
        grid_logprobs: `answer_logprobs` at the other temperatures and min-p of `settings["grid"]`; see `at`.
        ended_logprobs: Log-probability that the reply is nothing but the answer: given and ended, first at the sweep's
            own temperature and min-p, then over the grid; empty where the queries did not ask.
        reply_scores: `SCORES` of `slr_probe.forward.token_scores` at every read of the replies, first at the sweep's
            own temperature and min-p, then over the grid; see `replies`.
        reply_reads: Reply and position of each read.
        order_scores: How answers are ranked above all other tokens, where that was asked for: the area under the ROC
            curve and the valid share of the mass at an oracle cut-off, see `slr_probe.forward.calibration`; NaN for
            prompts with answers of several tokens.
    """

    kind: ClassVar[str] = "slr_probe.sweep/1"
    view: ClassVar[str] = "sweep"

    answer_logprobs: Float[ndarray, "recipe prompt answer"]
    sizes: Int[ndarray, " prompt"]
    invalid_tokens: Int[ndarray, "recipe prompt invalid"]
    invalid_logprobs: Float[ndarray, "recipe prompt invalid"]
    recipe_data: tuple[Mapping[str, Any], ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    grid_logprobs: Float[ndarray, "recipe prompt setting answer"] = field(default_factory=lambda: np.empty((0,) * 4))
    ended_logprobs: Float[ndarray, "recipe prompt setting answer"] = field(default_factory=lambda: np.empty((0,) * 4))
    reply_scores: Float[ndarray, "recipe read setting score"] = field(default_factory=lambda: np.empty((0,) * 4))
    reply_reads: Int[ndarray, "read 2"] = field(default_factory=lambda: np.empty((0, 2), dtype=np.int64))
    order_scores: Float[ndarray, "recipe prompt 2"] = field(default_factory=lambda: np.empty((0, 0, 2)))

    @cached_property
    def recipes(self) -> tuple[Recipe, ...]:
        """The recipes, in the order of the first axis."""
        return tuple(Recipe.from_dict(data) for data in self.recipe_data)

    @cached_property
    def validity(self) -> Float[ndarray, "recipe prompt"]:
        """Probability mass on the answers."""
        return validity(self.answer_logprobs)

    @cached_property
    def ended_validity(self) -> Float[ndarray, "recipe prompt"] | None:
        """Probability that the reply is an answer and ends; None where the queries did not ask."""
        return validity(self.ended_logprobs[:, :, 0]) if self.ended_logprobs.size else None

    @cached_property
    def entropy(self) -> Float[ndarray, "recipe prompt"]:
        """Diversity in nats: entropy of the distribution renormalised over the answers."""
        return conditional_entropy(self.answer_logprobs)

    @cached_property
    def diversity(self) -> Float[ndarray, "recipe prompt"]:
        """Diversity as a fraction of log |V|: 0 for one answer, 1 for uniform over the answers."""
        return np.asarray(self.entropy / np.log(self.sizes))

    @cached_property
    def replies(self) -> ReplyScores | None:
        """Scores of the replies; None where there were none."""
        return ReplyScores.of(self.reply_scores[:, :, 0], self.reply_reads) if len(self.reply_reads) else None

    def at(self, temperature: float, min_p: float = 0.0) -> SweepResult:
        """The same sweep as read out at another temperature and min-p of its grid, without the invalid tokens.

        Raises:
            SweepError: They were not part of the grid.
        """
        own = (self.settings.get("temperature", 1.0), self.settings.get("min_p", 0.0))
        known = [own, *(tuple(pair) for pair in self.settings.get("grid", ()))]
        if (temperature, min_p) not in known:
            raise SweepError(
                f"temperature {temperature} with min-p {min_p} was not read out; known are {', '.join(map(str, known))}"
            )
        number = known.index((temperature, min_p))
        if number == 0:
            return self
        return replace(
            self,
            answer_logprobs=self.grid_logprobs[:, :, number - 1],
            invalid_tokens=self.invalid_tokens[..., :0],
            invalid_logprobs=self.invalid_logprobs[..., :0],
            settings={**self.settings, "temperature": temperature, "min_p": min_p, "grid": ()},
            grid_logprobs=self.grid_logprobs[:, :, :0],
            ended_logprobs=self.ended_logprobs[:, :, number : number + 1],
            reply_scores=self.reply_scores[:, :, number : number + 1],
        )

    def index(self, recipe: Recipe | LayerRange | str) -> int:
        """Where a recipe stands on the first axis.

        Raises:
            RecipeError: It was not part of the sweep.
        """
        recipe = as_recipe(recipe, self.recipes[0].depth)
        try:
            return self.recipes.index(recipe)
        except ValueError:
            raise RecipeError(f"'{recipe}' is not among the {len(self.recipes)} recipes of this sweep") from None

    def to_dataframe(self) -> pd.DataFrame:
        """One row a recipe and prompt; start and stop are empty for recipes that are no contiguous range."""
        import pandas as pd

        recipes, prompts = self.validity.shape
        ranges = [recipe.layers for recipe in self.recipes]
        bounds = [(r.start, r.stop) if r is not None else (None, None) for r in ranges]
        columns = {
            "recipe": np.repeat([str(recipe) for recipe in self.recipes], prompts),
            "start": pd.array(np.repeat([start for start, _ in bounds], prompts), dtype="Int64"),
            "stop": pd.array(np.repeat([stop for _, stop in bounds], prompts), dtype="Int64"),
            "prompt": np.tile(np.arange(prompts), recipes),
            "answers": np.tile(self.sizes, recipes),
            "validity": self.validity.ravel(),
            "entropy_nats": self.entropy.ravel(),
            "diversity": self.diversity.ravel(),
        }
        if self.ended_validity is not None:
            columns["ended_validity"] = self.ended_validity.ravel()
        if self.invalid_tokens.shape[-1]:
            columns["top_invalid"] = self.invalid_tokens[..., 0].ravel()
            columns["top_invalid_probability"] = np.exp(self.invalid_logprobs[..., 0]).ravel()
        return pd.DataFrame(columns)

"""What binary layer masks are worth: loss, validity and diversity of the recipes that keep a share of the layers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.defaults import LEVEL
from slr_probe.errors import MaskError
from slr_probe.pair.prompts import Format
from slr_probe.probes.mask.examples import load_examples
from slr_probe.probes.mask.result import LayerMask
from slr_probe.probes.mask.weights import read_weights
from slr_probe.recipe import Recipe
from slr_probe.result import Result, limits
from slr_probe.stats import Interval, difference_interval, mean_interval

if TYPE_CHECKING:
    import pandas as pd

    from slr_probe.pair import ModelPair

RATES = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
KINDS = ("mask", "random", "reversed")


@dataclass(frozen=True, eq=False, repr=False)
class MaskRates(Result):
    """Scores of binary masks, beside random masks of equal size and the mask turned round.

    Attributes:
        rates: Share of the units that stay tuned, in each row.
        kinds: `"mask"` (the most important ones), `"random"` (one draw), or `"reversed"` (the least important ones).
        loss: Mean loss of the assistant's tokens of each conversation (nats a token).
        tokens: How many these are.
        validity: CRC validity (probability) of each prompt.
        diversity: CRC diversity (fraction of log |V|) of each prompt.
        recipe_data: The recipes as plain data.
        level: Nominal coverage of intervals over conversations, and over prompts.
        seed: Seed of the random masks and of the bootstrap.
    """

    kind: ClassVar[str] = "slr_probe.mask_rates/1"

    rates: Float[ndarray, " row"]
    kinds: tuple[str, ...]
    loss: Float[ndarray, "row conversation"]
    tokens: Float[ndarray, " conversation"]
    validity: Float[ndarray, "row prompt"]
    diversity: Float[ndarray, "row prompt"]
    recipe_data: tuple[Any, ...]
    level: float = LEVEL
    seed: int = 0

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """Recipe of each row."""
        return tuple(Recipe.from_dict(data) for data in self.recipe_data)

    def interval(self, what: str, *, against_tuned: bool = False) -> Interval:
        """Mean and paired bootstrap interval of each row: of `"loss"` over conversations, else over prompts.

        Args:
            what: `"loss"`, `"validity"` or `"diversity"`.
            against_tuned: Of the difference from tuned (rate 1).

        Raises:
            MaskError: An unknown measure, or there is no row of rate 1.
        """
        if what not in ("loss", "validity", "diversity"):
            raise MaskError(f"unknown measure {what!r}; expected 'loss', 'validity' or 'diversity'")
        values = np.asarray(getattr(self, what))
        options: dict[str, Any] = {"level": self.level, "seed": self.seed}
        if against_tuned:
            whole = np.flatnonzero(self.rates == 1.0)
            if not len(whole):
                raise MaskError("there is no row of rate 1.0 to compare with; score the masks with it among the rates")
            return difference_interval(values, values[whole[0]], **options)
        return mean_interval(values, **options)

    def to_dataframe(self) -> pd.DataFrame:
        """One row a mask, with intervals as `_low` and `_high`."""
        import pandas as pd

        columns: dict[str, Any] = {"rate": self.rates, "kind": self.kinds, "recipe": [str(r) for r in self.recipes]}
        for what in ("loss", "validity", "diversity"):
            values = np.asarray(getattr(self, what))
            if values.shape[1] > 1:
                columns |= limits(what, self.interval(what))
            else:
                columns[what] = values.mean(axis=1) if values.shape[1] else np.full(len(values), np.nan)
        return pd.DataFrame(columns)


def score_mask_rates(
    pair: ModelPair,
    mask: LayerMask,
    data: str | os.PathLike[str] | Iterable[Any],
    *,
    rates: Sequence[float] = RATES,
    task: Any = None,
    controls: bool = True,
    batch_size: int = 8,
    format: Format | None = None,
    stream: bool | None = None,
    level: float = LEVEL,
    seed: int = 0,
    progress: bool | None = None,
) -> MaskRates:
    """Score the hybrids that keep the top 10, 20, 30, ... % of a mask's units tuned and set the others to base.

    Args:
        pair: The pair that the mask was learned on.
        mask: The mask.
        data: Conversations on which the loss is measured; others than the mask was learned on (see `hold_back`).
        rates: Shares of the units that stay tuned; 1 is tuned itself.
        task: Prompts that CRC validity and diversity are measured on, by the sweep; default: the held-out prompts of
            `CRCTask.default()`, since masks are learned on answers to the others by default.
        controls: Also score a random set of units of equal size, and the least important ones.
        batch_size: Conversations a forward pass.
        format: Prompt format.
        stream: Read base tensors from its folder whenever they are needed.
        level: Nominal coverage of the intervals.
        seed: Seed of the random sets and of the bootstrap.
        progress: Show progress bars.

    Raises:
        MaskError: A rate outside (0, 1], or no usable conversation.
    """
    from slr_probe.sweep import sweep
    from slr_probe.tasks.crc import CRCTask

    sets = _sets(mask, rates, controls, seed)
    recipes = [mask.to_recipe(kept, f"{kind} {rate:.0%}") for rate, kind, kept in sets]
    examples = load_examples(pair, data, format)
    loss, tokens = recipe_losses(pair, recipes, examples, batch_size, stream)
    if task is None:
        task = CRCTask.default().held_out
    asked = task.render(pair, format) if isinstance(task, CRCTask) else task
    swept = sweep(pair, recipes, asked, stream=stream, progress=progress)
    return MaskRates(
        rates=np.array([rate for rate, _, _ in sets], dtype=float),
        kinds=tuple(kind for _, kind, _ in sets),
        loss=loss / tokens,
        tokens=tokens,
        validity=swept.validity,
        diversity=np.nan_to_num(swept.diversity, nan=0.0),
        recipe_data=tuple(recipe.to_dict() for recipe in recipes),
        level=level,
        seed=seed,
    )


def recipe_losses(
    pair: ModelPair, recipes: Sequence[Recipe], data: Iterable[Any], batch_size: int = 8, stream: bool | None = None
) -> tuple[Float[ndarray, "recipe conversation"], Float[ndarray, " conversation"]]:
    """Summed loss (nats) of the assistant's tokens of each conversation under each recipe, and their number.

    Only blocks follow the recipes; everything outside stays tuned. One extra block is held, not a second model.
    """
    from slr_probe.probes.mask.model import MaskedModel

    examples = load_examples(pair, data)
    weights = read_weights(pair, "block", stream)
    model = MaskedModel(pair, weights)
    losses, counts = np.zeros((len(recipes), len(examples))), np.zeros(len(examples))
    with model.installed():
        for row, recipe in enumerate(recipes):
            places = [weight.address for weight in weights.changed]
            shares = np.array([recipe.share(place.block, place.group, place.component) for place in places])
            losses[row], counts = model.losses(shares, examples, batch_size)
    return losses, counts


def _sets(mask: LayerMask, rates: Sequence[float], controls: bool, seed: int) -> list[tuple[float, str, ndarray]]:
    """Units that stay tuned in each row; controls are drawn among the units that changed."""
    rng = np.random.default_rng(seed)
    sets: list[tuple[float, str, ndarray]] = []
    moved = np.flatnonzero(mask.changed)
    for rate in rates:
        kept = mask.binary(rate)
        sets.append((rate, "mask", kept))
        count = int((kept & mask.changed).sum())
        if controls and count < len(moved):
            by_gamma = moved[np.argsort(mask.gamma[moved], kind="stable")]
            for kind, chosen in (("random", rng.choice(moved, count, replace=False)), ("reversed", by_gamma[:count])):
                other = np.zeros(len(kept), dtype=bool)
                other[chosen] = True
                sets.append((rate, kind, other))
    return sets

"""Diversity on all outputs against diversity among the correct ones (arXiv 2604.16027).

D_a is diversity over all outputs of a prompt, D_c over its correct outputs only. D_a - D_c is variety of errors, which
better quality control takes away; D_c, the residual, is genuine spread among correct answers.

What the source leaves open is ours: a prompt counts only if both D_a and D_c are defined on it (at least 2 correct
outputs), for every model that is compared; every part is a mean over those prompts, and shares are ratios of these
means, never means of ratios. Metrics that compare outputs pairwise (embedding distance) have no bias from the number of
outputs; EAD and self-BLEU do, and D_c always rests on fewer outputs than D_a.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.defaults import LEVEL, RESAMPLES
from slr_probe.errors import SlrProbeError
from slr_probe.stats.interval import Interval, interval_where_all_defined

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Decomposition:
    """Diversity of several models, split on the prompts where all of them have it.

    Attributes:
        models: The models; losses are measured from the first.
        diversity: Mean D_a of each model.
        residual: Mean D_c of each model: spread among correct outputs.
        quality_control: Mean D_a - D_c of each model: variety of errors.
        loss: How far D_a lies below the first model's.
        residual_loss: The part of the loss that is in D_c.
        quality_control_loss: The part of the loss that is in D_a - D_c. The two parts sum to the loss.
        defined: Number of prompts that count.
        defined_each: Number of prompts on which each model alone has both parts.
        prompts: Number of prompts.
    """

    models: tuple[str, ...]
    diversity: Interval
    residual: Interval
    quality_control: Interval
    loss: Interval
    residual_loss: Interval
    quality_control_loss: Interval
    defined: int
    defined_each: tuple[int, ...]
    prompts: int

    def to_dataframe(self) -> pd.DataFrame:
        """One row a model; limits of intervals as `_low` and `_high`. All NaN where no prompt is defined."""
        import pandas as pd

        table: dict[str, Any] = {"model": self.models}
        for name in ("diversity", "residual", "quality_control", "loss", "residual_loss", "quality_control_loss"):
            found: Interval = getattr(self, name)
            table |= {name: found.estimate, f"{name}_low": found.low, f"{name}_high": found.high}
        with np.errstate(divide="ignore", invalid="ignore"):
            table["residual_share_of_loss"] = self.residual_loss.estimate / self.loss.estimate
        return pd.DataFrame(table | {"defined": self.defined, "defined_alone": self.defined_each})


def decompose(
    scores: Mapping[str, tuple[Float[ndarray, " prompt"], Float[ndarray, " prompt"]]],
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Decomposition:
    """Split the diversity of models into variety of errors and spread among correct outputs.

    Args:
        scores: For each model, D_a and D_c of each prompt, NaN where undefined; the first model is the reference of
            the losses (base, or tuned).
        level: Nominal coverage of the intervals.
        resamples: Bootstrap resamples over prompts.
        seed: Seed of the bootstrap.

    Raises:
        SlrProbeError: No models, or models with different numbers of prompts.

    Examples:
        >>> base = np.array([0.8, 0.6, 0.9]), np.array([0.5, 0.5, np.nan])
        >>> tuned = np.array([0.4, 0.4, 0.1]), np.array([0.3, 0.3, 0.1])
        >>> found = decompose({"base": base, "tuned": tuned})
        >>> found.defined, found.loss.estimate.round(3).tolist(), found.residual_loss.estimate.round(3).tolist()
        (2, [0.0, 0.3], [0.0, 0.2])
    """
    shapes = {np.shape(part) for parts in scores.values() for part in parts}
    if len(shapes) != 1:
        raise SlrProbeError(f"decompose needs models scored on the same prompts; got arrays of shapes {sorted(shapes)}")
    whole, correct = (np.array([parts[i] for parts in scores.values()], dtype=np.float64) for i in (0, 1))
    both = np.isfinite(whole) & np.isfinite(correct)
    used = np.asarray(both.all(axis=0))
    whole, correct = whole[:, used], correct[:, used]

    def interval(values: Float[ndarray, "model prompt"]) -> Interval:
        return interval_where_all_defined(values, level=level, resamples=resamples, seed=seed)

    variety = whole - correct
    return Decomposition(
        models=tuple(scores),
        diversity=interval(whole),
        residual=interval(correct),
        quality_control=interval(variety),
        loss=interval(whole[:1] - whole),
        residual_loss=interval(correct[:1] - correct),
        quality_control_loss=interval(variety[:1] - variety),
        defined=int(used.sum()),
        defined_each=tuple(int(n) for n in both.sum(axis=1)),
        prompts=len(used),
    )

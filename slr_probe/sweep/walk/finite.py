"""Scores that are not numbers: noticed when they come, and traced to the block whose output is none.

Weights may be finite and what is computed with them not. Looking at every hidden state would make a graphics processor
wait in each block; so only what is kept of a sweep is looked at, and one row is run again where that is no number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from slr_probe.forward.surgery import installed
from slr_probe.forward.token_scores import SCORES
from slr_probe.sweep.reads.rows import Arrays, Row
from slr_probe.sweep.walk.trace import not_finite, trace

if TYPE_CHECKING:
    from slr_probe.errors import SweepError
    from slr_probe.recipe import Recipe
    from slr_probe.sweep.weights import TunedShares, Weights

_ANSWERS = ("answer_logprobs", "grid_logprobs", "path_logprobs")
_GIVEN = SCORES.index("given")  # NaN where no token was given


def without_numbers(arrays: Arrays) -> int | None:
    """Which recipe of arrays `[recipe, read, ...]` has a score that is NaN, if one has; infinite logs are scores."""
    bad = [np.isnan(arrays[name]) for name in _ANSWERS if name in arrays]
    if "reply_scores" in arrays:
        bad.append(np.isnan(np.delete(arrays["reply_scores"], _GIVEN, axis=-1)))
    found = np.flatnonzero(np.any([array.reshape(len(array), -1).any(axis=1) for array in bad], axis=0))
    return int(found[0]) if len(found) else None


def explain(weights: Weights, recipes: Sequence[Recipe], rows: Sequence[Row]) -> SweepError:
    """The error for scores that are no numbers.

    Args:
        weights: Weights of the pair.
        recipes: Those that it may be, the likeliest first.
        rows: Rows of the sweep in which one has no numbers.
    """
    for recipe in recipes:
        path = weights.paths([recipe])[0]
        shares = cast("Sequence[TunedShares]", path.blocks)
        with installed(weights.model, weights.open_outside(("embedding",)).tensors(path.root)):
            for row in rows:
                block = trace(weights, shares, row.token_ids, len(shares)).first_not_finite
                if block is not None:
                    return not_finite(str(recipe), f"the output of block {block}")
    return not_finite(str(recipes[0]), "what the final norm and the head make of it")

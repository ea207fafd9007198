"""`restored`: a hybrid in memory, built in the tuned model and always taken back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from slr_probe.errors import RecipeError
from slr_probe.pair.given import check_pair
from slr_probe.pair.side import Side
from slr_probe.restoration.end_bias import biased
from slr_probe.restoration.plan import mix, plan_hybrid

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from slr_probe.layers import LayerRange
    from slr_probe.pair import ModelPair
    from slr_probe.recipe import Recipe


@contextmanager
def restored(pair: ModelPair, recipe: Recipe | LayerRange | str) -> Iterator[PreTrainedModel]:
    """Turn `pair.tuned` into the hybrid for the length of a `with` block.

    Restored tensors are the base model's own (nothing is copied); only interpolated tensors take new memory. The
    tuned weights come back when the block ends, also after an exception. Blocks may be nested: the inner recipe
    is applied to the model as the outer one left it, and undone first. An end bias of the recipe is in the model's
    generation settings, where its `generate` finds it.

    Args:
        pair: The pair; its base model is loaded if the recipe needs it.
        recipe: A recipe, or the range of blocks to restore.

    Yields:
        The tuned model object, which is the hybrid inside the block. Do not train it there: restored tensors
        are shared with base.

    Raises:
        LayerRangeError: The range is malformed, empty or out of bounds.
        RecipeError: The recipe does not fit the pair.

    Examples:
        >>> pair = ModelPair.load("organism:base", "organism:dpo")  # doctest: +SKIP
        >>> with restored(pair, "2:4") as hybrid:  # doctest: +SKIP
        ...     logits = hybrid(ids).logits
    """
    check_pair(pair)
    recipe = pair.recipe(recipe)
    swaps = [] if recipe.is_tuned else _swaps(pair, recipe)
    kept: list[tuple[torch.Tensor, torch.Tensor]] = []
    try:
        for target, data in swaps:
            kept.append((target, target.data))
            target.data = data
        swaps.clear()
        with biased(pair.tuned, recipe.end_bias):
            yield pair.tuned
    finally:
        for target, data in reversed(kept):
            target.data = data


def _swaps(pair: ModelPair, recipe: Recipe) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Each tensor of the tuned model that changes, once (tied names share one), with its new data."""
    base, tuned = Side("base", "base", model=pair.base), Side("tuned", "tuned", model=pair.tuned)
    base_state, tuned_state = pair.base.state_dict(keep_vars=True), pair.tuned.state_dict(keep_vars=True)
    swaps: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    for step in plan_hybrid(base, tuned, recipe).values():
        target = tuned_state[step.name]
        if step.base_name is None or id(target) in swaps:
            continue
        source = base_state[step.base_name]
        if (source.dtype, source.device) != (target.dtype, target.device):
            raise RecipeError(
                f"'{step.name}' is {source.dtype} on {source.device} in base and {target.dtype} on {target.device} in "
                "tuned; load the pair with one dtype= and device="
            )
        swaps[id(target)] = (target, mix(source.data, target.data, step.share))
    return list(swaps.values())

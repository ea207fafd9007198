"""The plain way, for models whose blocks cannot be replayed: build each hybrid and run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch

from slr_probe.forward.budget import by_length
from slr_probe.restoration.memory import restored

if TYPE_CHECKING:
    from jaxtyping import Float

    from slr_probe.pair import ModelPair
    from slr_probe.recipe import Recipe


def swap_and_forward(
    pair: ModelPair, recipe: Recipe, prompts: Sequence[Sequence[int]], rows: int, done: Callable[[int], Any]
) -> Iterator[tuple[list[int], Float[torch.Tensor, "row vocab"]]]:
    """Next-token logits of one hybrid.

    Args:
        pair: The pair; both models are loaded.
        recipe: The hybrid.
        prompts: Token ids of every prompt.
        rows: Prompts to run at once; only prompts of one length share a batch, so none is padded.
        done: Called with the number of block evaluations made.

    Yields:
        Prompt numbers and their logits.
    """
    with restored(pair, recipe) as hybrid:
        only_last = {"logits_to_keep": 1} if "logits_to_keep" in signature(hybrid.forward).parameters else {}
        for some in by_length([len(prompt) for prompt in prompts], rows=rows, equal=True):
            ids = torch.tensor([list(prompts[i]) for i in some], device=hybrid.device)
            yield some, hybrid(input_ids=ids, use_cache=False, **only_last).logits[:, -1]
            done(len(some) * pair.depth)

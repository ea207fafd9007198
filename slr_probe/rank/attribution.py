"""First-order attribution: what restoring each block would bring if the model were linear in its weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.checkpoint.names import find_decoder
from slr_probe.errors import RankingError
from slr_probe.forward.answers import warped
from slr_probe.tasks.answers import Query

if TYPE_CHECKING:
    import torch

    from slr_probe.pair import ModelPair

Effects = tuple[Float[ndarray, " block"], Float[ndarray, " block"]]


def first_order_effects(
    pair: ModelPair, queries: Sequence[Query], *, temperature: float = 1.0, min_p: float = 0.0
) -> Effects:
    """Predicted change of mean diversity and of mean validity from restoring each block alone.

    The gradient is taken at the tuned weights: one forward, and one backward pass for each of the two. Each parameter's
    gradient is multiplied with base - tuned and dropped at once, so one is held at a time and not a model's worth.
    Prompts of one length run together and none is padded. Which tokens min-p drops is taken as fixed.

    Args:
        pair: Base and tuned, loaded.
        queries: The questions.
        temperature: Divides the logits.
        min_p: Drops tokens less likely than this share of the likeliest.

    Returns:
        Diversity (fraction of log |V|) and validity (probability), one number a block.

    Raises:
        RankingError: A block of base lacks a parameter of tuned, or has it in another shape.
    """
    lengths: dict[int, list[Query]] = {}
    for query in queries:
        lengths.setdefault(len(query.token_ids), []).append(query)
    effects = np.zeros((2, pair.depth))
    with _collecting(pair) as found:
        for together in lengths.values():
            for row, objective in enumerate(_objectives(pair, together, temperature, min_p)):
                if not objective.requires_grad:  # min-p left no answer
                    continue
                found[:] = 0.0
                objective.backward(retain_graph=row == 0)  # type: ignore[no-untyped-call]
                effects[row] += found / len(queries)
    return effects[0], effects[1]


def _objectives(
    pair: ModelPair, queries: Sequence[Query], temperature: float, min_p: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums over prompts of diversity and of validity, with their graph."""
    import torch

    ids = torch.tensor([query.token_ids for query in queries], device=pair.tuned.device)
    logits = pair.tuned(input_ids=ids, use_cache=False, logits_to_keep=1).logits[:, -1]
    logs = warped(logits, temperature, min_p).log_softmax(-1)
    diversity, validity = logs.new_zeros(()), logs.new_zeros(())
    for row, query in zip(logs, queries, strict=True):
        left = [row[list(group)] for group in query.answers if bool(row[list(group)].isfinite().any())]
        if not left:  # as in the sweep, a prompt without valid mass counts as 0
            continue
        answers = torch.stack([spelled.logsumexp(0) for spelled in left])
        share = answers.log_softmax(0)
        diversity = diversity - (share.exp() * share).sum() / math.log(len(query.answers))
        validity = validity + answers.exp().sum()
    return diversity, validity


@contextmanager
def _collecting(pair: ModelPair) -> Iterator[Float[ndarray, " block"]]:
    """Add up gradient times (base - tuned), block by block, in every backward pass inside."""
    found = np.zeros(pair.depth)
    ours, theirs = (find_decoder(model).blocks for model in (pair.tuned, pair.base))
    asked = {parameter: parameter.requires_grad for parameter in pair.tuned.parameters()}
    handles = []
    try:
        for parameter in asked:
            parameter.requires_grad_(False)
        for block in range(pair.depth):
            twins = dict(theirs[block].named_parameters())
            for name, parameter in ours[block].named_parameters():
                twin = twins.get(name)
                if twin is None or twin.shape != parameter.shape:
                    raise RankingError(f"block {block} of base has no '{name}' of shape {list(parameter.shape)}")
                parameter.requires_grad_(True)
                reader = _reader(found, block, twin)
                handles.append(parameter.register_post_accumulate_grad_hook(reader))  # type: ignore[no-untyped-call]
        yield found
    finally:
        for handle in handles:
            handle.remove()
        for parameter, asked_before in asked.items():
            parameter.requires_grad_(asked_before)
            parameter.grad = None


def _reader(found: Float[ndarray, " block"], block: int, base: torch.Tensor) -> Callable[[torch.Tensor], None]:
    import torch

    def read(parameter: torch.Tensor) -> None:
        gradient, parameter.grad = parameter.grad, None
        if gradient is not None:
            change = base.detach().float() - parameter.detach().float()
            found[block] += float((gradient.float() * change).sum(dtype=torch.float64))

    return read

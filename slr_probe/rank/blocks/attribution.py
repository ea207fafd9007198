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
from slr_probe.forward.budget import by_length
from slr_probe.forward.hooks import reading_gradients
from slr_probe.forward.readout import warped
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
    effects = np.zeros((2, pair.depth))
    with _collecting(pair) as total:
        for batch in by_length([len(query.token_ids) for query in queries], equal=True):
            together = [queries[i] for i in batch]
            for row, objective in enumerate(_objectives(pair, together, temperature, min_p)):
                if not objective.requires_grad:  # min-p left no answer
                    continue
                total[:] = 0.0
                objective.backward(retain_graph=row == 0)  # type: ignore[no-untyped-call]
                effects[row] += total / len(queries)
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
        spelled = [row[list(answer)] for answer in query.answers]
        possible = [scores for scores in spelled if bool(scores.isfinite().any())]
        if not possible:  # as in the sweep, a prompt without valid mass counts as 0
            continue
        answers = torch.stack([scores.logsumexp(0) for scores in possible])
        share = answers.log_softmax(0)
        diversity = diversity - (share.exp() * share).sum() / math.log(len(query.answers))
        validity = validity + answers.exp().sum()
    return diversity, validity


@contextmanager
def _collecting(pair: ModelPair) -> Iterator[Float[ndarray, " block"]]:
    """Add up gradient times (base - tuned), block by block, in every backward pass inside."""
    total = np.zeros(pair.depth)
    readers: dict[torch.Tensor, Callable[[torch.Tensor], None]] = {}
    tuned_blocks, base_blocks = (find_decoder(model).blocks for model in (pair.tuned, pair.base))
    for block in range(pair.depth):
        twins = dict(base_blocks[block].named_parameters())
        for name, parameter in tuned_blocks[block].named_parameters():
            twin = twins.get(name)
            if twin is None or twin.shape != parameter.shape:
                raise RankingError(f"block {block} of base has no '{name}' of shape {list(parameter.shape)}")
            readers[parameter] = _reader(total, block, twin.detach(), parameter.detach())
    with reading_gradients(pair.tuned, readers):
        yield total


def _reader(
    total: Float[ndarray, " block"], block: int, base: torch.Tensor, tuned: torch.Tensor
) -> Callable[[torch.Tensor], None]:
    import torch

    def read(gradient: torch.Tensor) -> None:
        change = base.float() - tuned.float()
        total[block] += float((gradient.float() * change).sum(dtype=torch.float64))

    return read

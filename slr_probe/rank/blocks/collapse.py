"""Entropy collapse of each block: what tuned's block does to the entropy that base's block would not have done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.checkpoint.names import find_decoder
from slr_probe.forward.budget import by_length
from slr_probe.forward.hooks import watching
from slr_probe.forward.readout import Readout, warped
from slr_probe.forward.surgery import block_output
from slr_probe.tasks.answers import Query

if TYPE_CHECKING:
    import torch

    from slr_probe.pair import ModelPair

_ROWS = 64  # logits over the whole vocabulary held at a time


def entropy_collapse(
    pair: ModelPair, queries: Sequence[Query], *, temperature: float = 1.0, min_p: float = 0.0
) -> Float[ndarray, " block"]:
    """Mean over prompts of H(base's block) - H(tuned's block), in nats, both run on what enters tuned's block.

    H is the entropy over the whole vocabulary (at `temperature`, over what `min_p` leaves) that tuned's own final norm
    and head read at the answer position (logit lens). Because both blocks get the same input, a block that
    post-training left alone scores exactly nothing, however much the blocks before it changed. One forward of tuned
    with base's blocks run beside it.
    """
    import torch

    readout = Readout(pair.tuned).checked(queries[0].token_ids, "tuned")
    entropy = partial(_entropy, readout, temperature=temperature, min_p=min_p)
    total = np.zeros(pair.depth)
    for batch in by_length([len(query.token_ids) for query in queries], equal=True):
        ids = torch.tensor([queries[i].token_ids for i in batch], device=pair.tuned.device)
        with torch.inference_mode(), _both_blocks(pair) as states:
            pair.tuned(input_ids=ids, use_cache=False)
        for block, (base, tuned) in states.items():
            if not torch.equal(base, tuned):
                total[block] += entropy(base) - entropy(tuned)
    return total / len(queries)


@contextmanager
def _both_blocks(pair: ModelPair) -> Iterator[dict[int, tuple[torch.Tensor, torch.Tensor]]]:
    """Last-position outputs of base's and tuned's block on tuned's input, for each block of the latest forward."""
    states: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    base_blocks = find_decoder(pair.base).blocks

    def see(block: int, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        base = base_blocks[block](*args, **kwargs)
        states[block] = (block_output(base)[:, -1].clone(), block_output(output)[:, -1].clone())

    with watching(list(find_decoder(pair.tuned).blocks), see):
        yield states


def _entropy(readout: Readout, hidden: Float[torch.Tensor, "row hidden"], *, temperature: float, min_p: float) -> float:
    """Sum over rows of the entropy of what the model would say there, in nats."""
    total = 0.0
    for rows in hidden.split(_ROWS):  # type: ignore[no-untyped-call]
        logs = warped(readout(rows), temperature, min_p).log_softmax(-1)
        total -= float((logs.exp() * logs).nan_to_num(nan=0.0).sum())
    return total

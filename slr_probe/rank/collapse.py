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
from slr_probe.forward.answers import warped
from slr_probe.forward.readout import Readout
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

    lengths: dict[int, list[Query]] = {}
    for query in queries:
        lengths.setdefault(len(query.token_ids), []).append(query)
    readout = Readout(pair.tuned).checked(queries[0].token_ids, "tuned")
    entropy = partial(_entropy, readout, temperature=temperature, min_p=min_p)
    total = np.zeros(pair.depth)
    for together in lengths.values():
        ids = torch.tensor([query.token_ids for query in together], device=pair.tuned.device)
        with torch.inference_mode(), _beside(pair) as states:
            pair.tuned(input_ids=ids, use_cache=False)
        for block, (base, tuned) in states.items():
            if not torch.equal(base, tuned):
                total[block] += entropy(base) - entropy(tuned)
    return total / len(queries)


@contextmanager
def _beside(pair: ModelPair) -> Iterator[dict[int, tuple[torch.Tensor, torch.Tensor]]]:
    """Last-position outputs of base's and tuned's block on tuned's input, for each block of the latest forward."""
    found: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    ours, theirs = (find_decoder(model).blocks for model in (pair.tuned, pair.base))

    def read(block: int) -> Any:
        def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            found[block] = (_last(theirs[block](*args, **kwargs)), _last(output))

        return hook

    handles = [ours[i].register_forward_hook(read(i), with_kwargs=True) for i in range(pair.depth)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _last(output: Any) -> torch.Tensor:
    hidden: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return hidden[:, -1].clone()


def _entropy(readout: Readout, hidden: Float[torch.Tensor, "row hidden"], *, temperature: float, min_p: float) -> float:
    """Sum over rows of the entropy of what the model would say there, in nats."""
    total = 0.0
    for rows in hidden.split(_ROWS):  # type: ignore[no-untyped-call]
        logs = warped(readout(rows), temperature, min_p).log_softmax(-1)
        total -= float((logs.exp() * logs).nan_to_num(nan=0.0).sum())
    return total

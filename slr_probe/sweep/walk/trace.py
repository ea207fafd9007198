"""What a model's own forward does to one row, block by block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from slr_probe.errors import SweepError
from slr_probe.forward.capture import NotReproducible
from slr_probe.forward.surgery import StopForward, block_input, block_output, installed, replaced

if TYPE_CHECKING:
    from jaxtyping import Float

    from slr_probe.sweep.weights import TunedShares, Weights


@dataclass(frozen=True)
class Trace:
    """What the model's own forward did to one row.

    Attributes:
        entering: Hidden states that entered each block.
        leaving: Hidden states that left it.
    """

    entering: list[Float[torch.Tensor, "token hidden"]]
    leaving: list[Float[torch.Tensor, "token hidden"]]

    @property
    def first_not_finite(self) -> int | None:
        """The first block whose output holds NaN or infinity; None where all are numbers."""
        return next((block for block, left in enumerate(self.leaving) if not bool(left.isfinite().all())), None)


def trace(weights: Weights, shares: Sequence[TunedShares], tokens: Sequence[int], depth: int) -> Trace:
    """Run the model by itself on one row, each block with its own shares; its embedding must be installed.

    Args:
        weights: Weights of the pair.
        shares: Shares of each block.
        tokens: The row.
        depth: Number of blocks to run, from the first.

    Raises:
        NotReproducible: A block turns hidden states into something of another shape.
    """
    found = Trace([], [])
    blocks = list(weights.decoder.blocks)

    def watched(block: int, forward: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            with installed(blocks[block], weights.open_block(block).tensors(shares[block])):
                out = forward(*args, **kwargs)
            hidden, left = block_input(args, kwargs), block_output(out)
            if hidden.ndim != 3 or left.shape != hidden.shape:
                raise NotReproducible(f"block {block} turns {list(hidden.shape)} into {list(left.shape)}")
            found.entering.append(hidden[0].clone())
            found.leaving.append(left[0].clone())
            if block == depth - 1:
                raise StopForward
            return out

        return run

    with replaced(blocks, [watched(i, block.forward) for i, block in enumerate(blocks)]), suppress(StopForward):
        weights.model(input_ids=torch.tensor([list(tokens)], device=weights.device), use_cache=False)
    return found


def not_finite(name: str, what: str) -> SweepError:
    """The error that names what is NaN or infinite, and of which model."""
    return SweepError(
        f"{name}: {what} is NaN or infinite, first here, so nothing can be scored; check the weights, or load the pair "
        "in float32 (float16 overflows where a model was trained in bfloat16)"
    )

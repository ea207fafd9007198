"""`MaskedModel`: the tuned model computing with theta(gamma), and the gradient of its loss with respect to gamma."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from slr_probe.checkpoint.names import find_decoder
from slr_probe.pair import ModelPair
from slr_probe.probes.mask.examples import Example
from slr_probe.probes.mask.loss import mean_loss, token_losses
from slr_probe.probes.mask.weights import Weight, Weights

_PIECE = 1 << 18  # elements of a gradient and its delta that are multiplied at a time; they stay in the cache


@dataclass(frozen=True)
class _Saved:
    """What autograd keeps of a tensor that lies in a scaled weight: how to make it again."""

    tensor: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int


class MaskedModel:
    """The tuned model with base + share * (tuned - base) in place of each changed tensor of its blocks.

    Only the block that runs holds mixed tensors. For the backward pass autograd keeps none of them: a mixed tensor is
    made again when a gradient needs it, and the gradient of a weight is multiplied with its delta and dropped once
    it is complete. So beside the tuned model there is one mixed block in the forward pass, and one matrix with its
    gradient in the backward pass (a mixed block with `checkpointing`, which makes the activations of a block again).
    The delta of a LoRA adapter is never formed: its two factors act on the module's input.

    Args:
        pair: The pair; its tuned model is used and given back unchanged.
        weights: What is scaled.
        checkpointing: Keep the activations between blocks only.
    """

    def __init__(self, pair: ModelPair, weights: Weights, *, checkpointing: bool = False) -> None:
        self.pair, self.weights = pair, weights
        self._checkpointing = checkpointing
        self._blocks = find_decoder(pair.tuned).blocks
        self._dense: list[list[int]] = [[] for _ in self._blocks]
        self._low: list[int] = []
        for i, weight in enumerate(weights.changed):
            if weight.low_rank is not None:
                self._low.append(i)
            else:
                self._dense[weight.address.block or 0].append(i)
        self._live: dict[int, int] = {}  # where mixed tensors lie in memory while their block runs
        self._shares: Float[ndarray, " tensor"] = np.ones(len(weights.changed))
        self._scales: dict[int, torch.Tensor] = {}
        self._sums: dict[int, torch.Tensor] = {}

    # -- what it is for ------------------------------------------------------------------------------------------

    def gradient(
        self, gamma: Float[ndarray, " unit"], batch: Sequence[Example]
    ) -> tuple[float, Float[ndarray, " unit"]]:
        """Mean loss of the assistant's tokens of a batch (nats), and its derivative with respect to each gamma.

        From one ordinary backward pass: dL/dgamma_i is the sum of <dL/dW, W_tuned - W_base> over tensors that follow
        gamma_i. Call it inside `installed(gradients=True)`.
        """
        self.set_shares(self.weights.follows @ gamma, gradients=True)
        loss = mean_loss(self.pair.tuned, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        slopes = np.zeros(len(self.weights.changed))
        for i, total in self._sums.items():
            slopes[i] = float(total)
        for i, scale in self._scales.items():
            slopes[i] = 0.0 if scale.grad is None else float(scale.grad)
        self._sums.clear()
        return float(loss.detach()), slopes @ self.weights.follows

    def losses(
        self, shares: Float[ndarray, " tensor"], examples: Sequence[Example], batch_size: int
    ) -> tuple[Float[ndarray, " example"], Float[ndarray, " example"]]:
        """Summed loss of the assistant's tokens of each example (nats), and their number, at given shares of tuned.

        Call it inside `installed()`.
        """
        self.set_shares(shares)
        found = np.zeros((2, len(examples)))
        order = sorted(range(len(examples)), key=lambda i: len(examples[i].ids))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            with torch.no_grad():
                losses, wanted = token_losses(self.pair.tuned, [examples[i] for i in rows])
            found[0, rows] = losses.double().sum(dim=1).cpu().numpy()
            found[1, rows] = wanted.sum(dim=1).cpu().numpy()
        return found[0], found[1]

    @contextmanager
    def installed(self, *, gradients: bool = False) -> Iterator[None]:
        """Let the tuned model compute with mixed weights inside a `with` block."""
        originals = {i: block.forward for i, block in enumerate(self._blocks)}
        own = {i for i, block in enumerate(self._blocks) if "forward" in vars(block)}
        asked = {parameter: parameter.requires_grad for parameter in self.pair.tuned.parameters()}
        handles: list[Any] = []
        try:
            for parameter in asked:
                parameter.requires_grad_(False)
            if gradients:
                handles += [self._watch(i) for dense in self._dense for i in dense if self._is_leaf(i)]
            handles += [self._branch(i) for i in self._low]
            for i, block in enumerate(self._blocks):
                block.forward = self._forward(i, originals[i])
            yield
        finally:
            for i, block in enumerate(self._blocks):
                if i in own:
                    block.forward = originals[i]
                elif "forward" in vars(block):
                    del block.forward
            for handle in handles:
                handle.remove()
            for parameter, before in asked.items():
                parameter.requires_grad_(before)
                parameter.grad = None
            self._scales.clear()
            self._sums.clear()

    # -- mixed tensors while a block runs ------------------------------------------------------------------------

    def set_shares(self, shares: Float[ndarray, " tensor"], gradients: bool = False) -> None:
        """Compute with these shares of the changed tensors from now on, inside `installed`."""
        self._shares = shares
        device = self.pair.tuned.device
        self._scales = {
            i: torch.tensor(shares[i], dtype=torch.float32, device=device, requires_grad=gradients) for i in self._low
        }

    def _forward(self, block: int, original: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            # Under `checkpoint` its own hooks must see every tensor, and they keep none.
            ours = torch.is_grad_enabled() and not self._checkpointing
            with self._mixed(block), saved_tensors_hooks(self._pack, self._unpack) if ours else nullcontext():
                return original(*args, **kwargs)

        def forward(*args: Any, **kwargs: Any) -> Any:
            if self._checkpointing and torch.is_grad_enabled():
                return checkpoint(run, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)
            return run(*args, **kwargs)

        return forward

    @contextmanager
    def _mixed(self, block: int) -> Iterator[None]:
        kept: list[tuple[torch.Tensor, torch.Tensor]] = []
        try:
            for i in self._dense[block]:
                tensor = self.weights.changed[i].tuned
                mixed = self._mix(i)
                kept.append((tensor, tensor.data))
                tensor.data = mixed
                self._live[mixed.untyped_storage().data_ptr()] = i
            yield
        finally:
            self._live.clear()
            for tensor, data in reversed(kept):
                tensor.data = data

    @torch.no_grad()
    def _mix(self, i: int) -> torch.Tensor:
        weight = self.weights.changed[i]
        return torch.lerp(weight.base(), weight.tuned.data, float(self._shares[i]))

    def _pack(self, tensor: torch.Tensor) -> torch.Tensor | _Saved:
        i = self._live.get(tensor.untyped_storage().data_ptr())
        if i is None:
            return tensor
        return _Saved(i, tuple(tensor.shape), tuple(tensor.stride()), int(tensor.storage_offset()))

    def _unpack(self, saved: torch.Tensor | _Saved) -> torch.Tensor:
        if isinstance(saved, torch.Tensor):
            return saved
        return self._mix(saved.tensor).as_strided(saved.size, saved.stride, saved.offset)

    # -- gradients -----------------------------------------------------------------------------------------------

    def _is_leaf(self, i: int) -> bool:
        return isinstance(self.weights.changed[i].tuned, torch.nn.Parameter)

    def _watch(self, i: int) -> Any:
        weight = self.weights.changed[i]
        weight.tuned.requires_grad_(True)

        def read(parameter: torch.Tensor) -> None:
            gradient, parameter.grad = parameter.grad, None
            if gradient is not None:
                self._sums[i] = slope(gradient, weight)

        return weight.tuned.register_post_accumulate_grad_hook(read)  # type: ignore[no-untyped-call]

    def _branch(self, i: int) -> Any:
        """Take (1 - share) of a low-rank delta off the output of its module, without forming the delta."""
        weight = self.weights.changed[i]
        assert weight.low_rank is not None
        a, b = (factor.to(device=weight.tuned.device, dtype=weight.tuned.dtype) for factor in weight.low_rank.factors())
        scaling = weight.low_rank.scaling

        def hook(module: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
            inner = torch.nn.functional.linear(inputs[0], a)
            return output + torch.nn.functional.linear(inner * ((self._scales[i] - 1) * scaling).to(a.dtype), b)

        return self.pair.tuned.get_submodule(weight.name.rpartition(".")[0]).register_forward_hook(hook)


@torch.no_grad()
def slope(gradient: torch.Tensor, weight: Weight) -> torch.Tensor:
    """<gradient, tuned - base> in float32 pieces, summed in float64."""
    total = torch.zeros((), dtype=torch.float64, device=gradient.device)
    flat = (gradient.reshape(-1), weight.tuned.data.reshape(-1), weight.base().reshape(-1))
    size = _PIECE if gradient.device.type == "cpu" else max(flat[0].numel(), 1)
    for start in range(0, flat[0].numel(), size):
        g, tuned, base = (part[start : start + size] for part in flat)
        wide = torch.float64 if g.dtype == torch.float64 else torch.float32
        total += torch.dot(g.to(wide), tuned.to(wide) - base.to(wide))
    return total

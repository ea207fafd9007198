"""`MaskedModel`: the tuned model computing with theta(gamma), its loss, and the gradient with respect to gamma."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint
from torch.utils.hooks import RemovableHandle

from slr_probe.checkpoint.names import find_decoder
from slr_probe.errors import MaskError
from slr_probe.forward.budget import by_length
from slr_probe.forward.hooks import reading_gradients
from slr_probe.forward.surgery import replaced
from slr_probe.pair import ModelPair
from slr_probe.probes.mask.examples import Example
from slr_probe.probes.mask.weights import MaskWeights, Weight

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

    def __init__(self, pair: ModelPair, weights: MaskWeights, *, checkpointing: bool = False) -> None:
        self.pair, self.weights = pair, weights
        self._checkpointing = checkpointing
        self._blocks = list(find_decoder(pair.tuned).blocks)
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
        total, count = np.zeros(len(examples)), np.zeros(len(examples))
        for rows in by_length([len(example.ids) for example in examples], rows=batch_size):
            with torch.no_grad():
                losses, replies = token_losses(self.pair.tuned, [examples[i] for i in rows])
            total[rows] = losses.double().sum(dim=1).cpu().numpy()
            count[rows] = replies.sum(dim=1).cpu().numpy()
        return total, count

    @contextmanager
    def installed(self, *, gradients: bool = False) -> Iterator[None]:
        """Let the tuned model compute with mixed weights inside a `with` block."""
        dense = [i for inside in self._dense for i in inside if self._is_leaf(i)] if gradients else []
        readers = {self.weights.changed[i].tuned: partial(self._read_gradient, i) for i in dense}
        forwards = [self._forward(i, block.forward) for i, block in enumerate(self._blocks)]
        branches: list[RemovableHandle] = []
        try:
            branches += [self._branch(i) for i in self._low]
            with reading_gradients(self.pair.tuned, readers), replaced(self._blocks, forwards):
                yield
        finally:
            for branch in branches:
                branch.remove()
            self._scales.clear()
            self._sums.clear()

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

    def _is_leaf(self, i: int) -> bool:
        return isinstance(self.weights.changed[i].tuned, torch.nn.Parameter)

    def _read_gradient(self, i: int, gradient: torch.Tensor) -> None:
        self._sums[i] = slope(gradient, self.weights.changed[i])

    def _branch(self, i: int) -> RemovableHandle:
        """Take (1 - share) of a low-rank delta off the output of its module, without forming the delta."""
        weight = self.weights.changed[i]
        assert weight.low_rank is not None
        a, b = (factor.to(device=weight.tuned.device, dtype=weight.tuned.dtype) for factor in weight.low_rank.factors())
        scaling = weight.low_rank.scaling

        def hook(module: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
            inner = torch.nn.functional.linear(inputs[0], a)
            return output + torch.nn.functional.linear(inner * ((self._scales[i] - 1) * scaling).to(a), b)

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


def autograd_gradient(
    pair: ModelPair, weights: MaskWeights, gamma: Float[ndarray, " unit"], batch: Sequence[Example]
) -> tuple[float, Float[ndarray, " unit"]]:
    """The same as `MaskedModel.gradient`, by automatic differentiation of theta(gamma) itself.

    Every mixed tensor and its graph are held at once, deltas of adapters are formed: for tests and small models.
    """
    model = pair.tuned
    wide = torch.float64 if model.dtype == torch.float64 else torch.float32
    leaf = torch.tensor(gamma, dtype=wide, device=model.device, requires_grad=True)
    shares = torch.tensor(weights.follows, dtype=wide, device=model.device) @ leaf
    mixed = {}
    for share, weight in zip(shares, weights.changed, strict=True):
        base, tuned = weight.base().to(wide), weight.tuned.detach().to(wide)
        mixed[weight.name] = (base + share * (tuned - base)).to(weight.tuned.dtype)
    loss = mean_loss(model, batch, mixed)
    (slopes,) = torch.autograd.grad(loss, leaf)
    return float(loss.detach()), slopes.double().cpu().numpy()


def token_losses(
    model: Any, batch: Sequence[Example], mixed: dict[str, torch.Tensor] | None = None
) -> tuple[Float[torch.Tensor, "row position"], Float[torch.Tensor, "row position"]]:
    """Next-token loss (nats, float32 or wider) where the assistant writes, 0 elsewhere; and where that is (0 or 1).

    Rows are padded on the right, which later positions of a causal model alone could see. The head runs at positions at
    which some row predicts a token of the assistant.
    """
    ids, replies, real = _padded(batch)
    kept = np.flatnonzero(replies[:, 1:].any(axis=0))
    tokens, at = torch.tensor(ids, device=model.device), torch.tensor(kept)  # the head may lie on another device
    options: dict[str, Any] = {"input_ids": tokens, "use_cache": False, "logits_to_keep": at}
    if not real.all():
        options["attention_mask"] = torch.tensor(real, device=model.device)
    output = model(**options) if mixed is None else torch.func.functional_call(model, mixed, (), options)
    logits = output.logits if output.logits.dtype == torch.float64 else output.logits.float()
    if logits.shape[1] != len(kept):  # an architecture that does not know the option
        logits = logits[:, at]
    mask = torch.tensor(replies[:, 1:][:, kept], device=model.device)
    targets = tokens[:, 1:][:, at].masked_fill(mask == 0, -100)
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return losses.view(targets.shape), mask


def _padded(
    batch: Sequence[Example],
) -> tuple[Int[ndarray, "row position"], Int[ndarray, "row position"], Int[ndarray, "row position"]]:
    """Token ids, where the assistant writes, and what is not padding."""
    width = max(len(example.ids) for example in batch)
    ids = np.zeros((len(batch), width), dtype=np.int64)
    replies, real = np.zeros_like(ids), np.zeros_like(ids)
    for row, example in enumerate(batch):
        inside = slice(len(example.ids))
        ids[row, inside], replies[row, inside], real[row, inside] = example.ids, example.replies, 1
    return ids, replies, real


def mean_loss(model: Any, batch: Sequence[Example], mixed: dict[str, torch.Tensor] | None = None) -> torch.Tensor:
    """Mean of `token_losses` over the tokens of the assistant, with its graph.

    Raises:
        MaskError: It is not finite.
    """
    losses, mask = token_losses(model, batch, mixed)
    loss = losses.sum() / mask.sum()
    if not bool(loss.isfinite()):
        raise MaskError(
            "the loss is not finite; load the pair in another dtype (float32), or look at the conversations"
        )
    return loss

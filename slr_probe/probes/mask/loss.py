"""The loss of a layer mask: next-token prediction where the assistant writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from slr_probe.errors import MaskError
from slr_probe.pair import ModelPair
from slr_probe.probes.mask.examples import Example
from slr_probe.probes.mask.weights import Weights


def autograd_gradient(
    pair: ModelPair, weights: Weights, gamma: Float[ndarray, " unit"], batch: Sequence[Example]
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
    (found,) = torch.autograd.grad(loss, leaf)
    return float(loss.detach()), found.double().cpu().numpy()


def token_losses(
    model: Any, batch: Sequence[Example], mixed: dict[str, torch.Tensor] | None = None
) -> tuple[Float[torch.Tensor, "row position"], Float[torch.Tensor, "row position"]]:
    """Next-token loss (nats, float32 or wider) where the assistant writes, 0 elsewhere; and where that is (0 or 1).

    Rows are padded on the right, which later positions of a causal model alone could see. The head runs at positions at
    which some row predicts a token of the assistant.
    """
    width = max(len(example.ids) for example in batch)
    ids = np.zeros((len(batch), width), dtype=np.int64)
    wanted, real = np.zeros_like(ids), np.zeros_like(ids)
    for row, example in enumerate(batch):
        size = len(example.ids)
        ids[row, :size], wanted[row, :size], real[row, :size] = example.ids, example.replies, 1
    kept = np.flatnonzero(wanted[:, 1:].any(axis=0))
    tokens, at = torch.tensor(ids, device=model.device), torch.tensor(kept, device=model.device)
    options: dict[str, Any] = {"input_ids": tokens, "use_cache": False, "logits_to_keep": at}
    if not real.all():
        options["attention_mask"] = torch.tensor(real, device=model.device)
    output = model(**options) if mixed is None else torch.func.functional_call(model, mixed, (), options)
    logits = output.logits if output.logits.dtype == torch.float64 else output.logits.float()
    if logits.shape[1] != len(kept):  # an architecture that does not know the option
        logits = logits[:, at]
    mask = torch.tensor(wanted[:, 1:][:, kept], device=model.device)
    targets = tokens[:, 1:][:, at].masked_fill(mask == 0, -100)
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return losses.view(targets.shape), mask


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

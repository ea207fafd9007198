"""From logits to the next token: random numbers of a sample, the filters of `Sampling`, the inverse distribution."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from slr_probe.errors import GenerationError
from slr_probe.generation.sampling import Sampling

_BLOCK = 512
_HEAD = 256


def uniforms(seed: int, prompt: str, sample: int, count: int) -> Float[ndarray, " step"]:
    """Uniform numbers in [0, 1) for the steps of one sample, keyed by seed, prompt id and number of the sample.

    From the counter-based generator Philox (Salmon et al. 2011), so they depend on nothing else: neither on the batch
    nor on the order of work. More steps only append. The model is not part of the key: all models draw with the same
    numbers, so their differences are free of one source of noise, and equal models write equal texts.

    Examples:
        >>> bool((uniforms(0, "moon", 3, 8)[:5] == uniforms(0, "moon", 3, 5)).all())
        True
    """
    return np.random.Generator(np.random.Philox(key=sample_key(seed, prompt, sample))).random(count)


def sample_key(seed: int, prompt: str, sample: int) -> int:
    """128 bits for one sample of one prompt."""
    # The id comes last, so no two keys read alike; "surrogatepass" since ids may come from files of others.
    data = f"{seed}:{sample}:".encode() + prompt.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=16).digest(), "little")


@torch.inference_mode()
def draw(logits: Float[Tensor, "row vocab"], uniform: Float[Tensor, " row"], sampling: Sampling) -> Int[Tensor, " row"]:
    """The next token of each row.

    Args:
        logits: The model's, of any floating dtype.
        uniform: A number in [0, 1) for each row, in float64.
        sampling: Filters and temperature.

    Raises:
        GenerationError: Logits are NaN, or infinite at the top.
    """
    logits = logits.float()
    if not logits.amax(dim=-1).isfinite().all():  # NaN is the largest for amax
        raise GenerationError("the model's logits are NaN or infinite; load the pair in float32, or check its weights")
    if sampling.greedy:
        return logits.argmax(dim=-1)
    return _pick(weights(logits, sampling), uniform)


def weights(logits: Float[Tensor, "row vocab"], sampling: Sampling) -> Float[Tensor, "row vocab"]:
    """Probabilities relative to the likeliest token's after temperature, top-k, top-p and min-p; 0 where dropped.

    As the warpers of transformers in their order. Of tokens that tie at the edge of top-p all are kept, where
    transformers keeps some: which ones would depend on how a sort breaks ties.
    """
    if sampling.temperature != 1:
        logits = logits / sampling.temperature
    if 0 < sampling.top_k < logits.shape[-1]:
        last = logits.topk(sampling.top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < last, -torch.inf)
    if sampling.top_p < 1:
        logits = _nucleus(logits, sampling.top_p)
    relative = (logits - logits.amax(dim=-1, keepdim=True)).exp_()
    if sampling.min_p > 0:
        relative.masked_fill_(relative < sampling.min_p, 0.0)
    return relative


def _nucleus(logits: Float[Tensor, "row vocab"], top_p: float) -> Float[Tensor, "row vocab"]:
    """Keep each token above which there is less than `top_p` of the probability."""
    total = logits.logsumexp(dim=-1, keepdim=True)
    size = min(_HEAD, logits.shape[-1])
    while True:  # sorting everything is rarely needed
        top = logits.topk(size, dim=-1).values
        mass = (top - total).exp_().double()
        reached = mass.cumsum(dim=-1)
        if size == logits.shape[-1] or bool((reached[:, -1] >= top_p).all()):
            break
        size = logits.shape[-1]
    kept = (reached - mass < top_p).sum(dim=-1, keepdim=True).clamp_(min=1)
    return logits.masked_fill(logits < top.gather(1, kept - 1), -torch.inf)


def _pick(relative: Float[Tensor, "row vocab"], uniform: Float[Tensor, " row"]) -> Int[Tensor, " row"]:
    """The token whose stretch of the cumulated weights holds `uniform`; in two levels, to be exact and fast."""
    rows, vocab = relative.shape
    whole = vocab // _BLOCK * _BLOCK
    parts = [relative[:, :whole].reshape(rows, -1, _BLOCK).sum(dim=-1, dtype=torch.float64)]
    if whole < vocab:
        parts.append(relative[:, whole:].sum(dim=-1, keepdim=True, dtype=torch.float64))
    mass = torch.cat(parts, dim=-1)
    block, rest = _inverse(mass, uniform * mass.cumsum(dim=-1)[:, -1])
    index = block[:, None] * _BLOCK + torch.arange(_BLOCK, device=relative.device)
    inside = relative.gather(1, index.clamp(max=vocab - 1)).double().masked_fill_(index >= vocab, 0.0)
    return block * _BLOCK + _inverse(inside, rest)[0]


def _inverse(
    mass: Float[Tensor, "row part"], target: Float[Tensor, " row"]
) -> tuple[Int[Tensor, " row"], Float[Tensor, " row"]]:
    """First part whose upper edge exceeds the target, and how far into it the target lies."""
    edges = mass.cumsum(dim=-1)
    found = (edges <= target[:, None]).sum(dim=-1)
    places = torch.arange(mass.shape[-1], device=mass.device)
    last = torch.where(mass > 0, places, 0).amax(dim=-1)  # rounding may put the target beyond the last edge
    found = torch.minimum(found, last)
    below = (edges.gather(1, found[:, None]) - mass.gather(1, found[:, None]))[:, 0]
    return found, (target - below).clamp_(min=0)

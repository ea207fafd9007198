"""The decoding loop: batches of prompts by length, prefilled once, continued in all their samples at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray

from slr_probe.errors import GenerationError
from slr_probe.generation.draw import draw
from slr_probe.generation.keyed import uniforms
from slr_probe.generation.sampling import Sampling
from slr_probe.generation.state import State, may_be_padded

BATCH_TOKENS = 16_384


@dataclass(frozen=True)
class Request:
    """Samples to write for one prompt.

    Attributes:
        id: The prompt's id, which its random numbers are keyed by.
        ids: Token ids of the rendered prompt.
        samples: Numbers of the samples.
    """

    id: str
    ids: tuple[int, ...]
    samples: tuple[int, ...]


@dataclass(frozen=True)
class Written:
    """One finished sample.

    Attributes:
        id: The prompt's id.
        sample: Its number.
        tokens: What was written, without the token that ended it.
        finished: Whether it ended by itself rather than at the limit.
        end: The token that ended it, where one did.
    """

    id: str
    sample: int
    tokens: tuple[int, ...]
    finished: bool
    end: tuple[int, ...] = ()


def write(
    model: Any,
    requests: Sequence[Request],
    sampling: Sampling,
    *,
    ends: Iterable[int],
    stops: Callable[[list[int]], bool] | None = None,
    batch_tokens: int | None = None,
) -> Iterator[list[Written]]:
    """Write all samples of all requests; yields them as they are finished, in no particular order.

    Args:
        model: A causal language model of transformers.
        requests: What to write.
        sampling: How.
        ends: Tokens that end an output.
        stops: Whether the tokens so far hold a text that ends the output.
        batch_tokens: Bound on rows x (longest prompt + longest output) of one batch.

    Raises:
        GenerationError: A prompt and its output do not fit the context, or `batch_tokens` cannot hold one row.
    """
    check_lengths(model.config, requests, sampling)
    stop = torch.tensor(sorted(set(ends)), device=model.device)
    for batch in batches(requests, sampling, batch_tokens or BATCH_TOKENS, padded=may_be_padded(model)):
        yield from _write_batch(model, batch, sampling, stop, stops)


def batches(
    requests: Sequence[Request], sampling: Sampling, batch_tokens: int, *, padded: bool = True
) -> Iterator[list[Request]]:
    """Requests in batches of similar length, longest first; the samples of a prompt may be spread over several.

    Raises:
        GenerationError: `batch_tokens` cannot hold one row.
    """
    batch: list[Request] = []
    used = 0
    for request in sorted(requests, key=lambda request: -len(request.ids)):
        if batch and not padded and len(request.ids) != len(batch[0].ids):
            yield batch
            batch, used = [], 0
        rest = request.samples
        while rest:
            longest = len(batch[0].ids) if batch else len(request.ids)
            room = batch_tokens // (longest + sampling.max_tokens) - used
            if room <= 0 and not batch:
                raise GenerationError(
                    f"batch_tokens={batch_tokens} cannot hold one row of {longest} + {sampling.max_tokens} tokens"
                )
            if room <= 0:
                yield batch
                batch, used = [], 0
                continue
            taken, rest = rest[:room], rest[room:]
            batch.append(replace(request, samples=taken))
            used += len(taken)
    if batch:
        yield batch


def check_lengths(config: Any, requests: Sequence[Request], sampling: Sampling) -> None:
    """Check that every prompt and its output fit the context.

    Raises:
        GenerationError: One does not; it is named.
    """
    context = getattr(config.get_text_config(decoder=True), "max_position_embeddings", None)
    for request in requests:
        if context is not None and len(request.ids) + sampling.max_tokens > context:
            raise GenerationError(
                f"prompt {request.id!r} has {len(request.ids)} tokens; with max_tokens={sampling.max_tokens} it does "
                f"not fit the model's context of {context}"
            )


def _write_batch(
    model: Any, batch: list[Request], sampling: Sampling, ends: torch.Tensor, stops: Callable[[list[int]], bool] | None
) -> Iterator[list[Written]]:
    owners = [(request.id, sample) for request in batch for sample in request.samples]
    numbers = np.zeros((len(owners), sampling.max_tokens))
    if not sampling.greedy:
        numbers = np.stack([uniforms(sampling.seed, name, sample, sampling.max_tokens) for name, sample in owners])
    chances = torch.from_numpy(numbers).to(model.device)
    state = _prefill(model, batch)
    rows = np.arange(len(owners))  # which sample each row of the state is
    open_ = np.ones(len(owners), dtype=bool)
    tokens = np.zeros((len(owners), sampling.max_tokens), dtype=np.int64)
    for step in range(sampling.max_tokens):
        drawn = draw(state.logits, chances[torch.from_numpy(rows).to(model.device), step], sampling)
        tokens[rows, step] = drawn.cpu().numpy()
        ended = torch.isin(drawn, ends).cpu().numpy()
        halted = np.zeros_like(ended)
        if stops is not None:
            live = open_[rows] & ~ended
            halted[live] = [stops(tokens[row, : step + 1].tolist()) for row in rows[live]]
        last = step == sampling.max_tokens - 1
        now = open_[rows] & (ended | halted | last)
        if now.any():
            yield [
                _sample(owners[row], tokens[row, : step + 1], bool(by_token), bool(by_text))
                for row, by_token, by_text in zip(rows[now], ended[now], halted[now], strict=True)
            ]
            open_[rows[now]] = False
        live = open_[rows]
        if last or not live.any():
            return
        if 8 * (~live).sum() >= len(rows):  # dropping rows copies the cache, as a step does
            kept = torch.from_numpy(np.flatnonzero(live))
            state.select(kept)
            rows, drawn = rows[live], drawn[kept.to(drawn.device)]
        state.step(drawn)


def _sample(owner: tuple[str, int], tokens: Int[ndarray, " token"], by_token: bool, by_text: bool) -> Written:
    size = len(tokens) - by_token
    return Written(*owner, tuple(tokens[:size].tolist()), by_token or by_text, tuple(tokens[size:].tolist()))


def _prefill(model: Any, batch: list[Request]) -> State:
    """The state after all prompts, each run once and then repeated for its samples."""
    width = max(len(request.ids) for request in batch)
    ids = torch.zeros((len(batch), width), dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, request in enumerate(batch):
        ids[row, width - len(request.ids) :] = torch.tensor(request.ids)
        mask[row, width - len(request.ids) :] = 1
        ids[row, : width - len(request.ids)] = request.ids[0]  # any token does: the mask hides it
    state = State(model, ids.to(model.device), mask.to(model.device))
    repeats = torch.tensor([len(request.samples) for request in batch])
    if int(repeats.max()) > 1:
        state.select(torch.arange(len(batch)).repeat_interleave(repeats))
    return state

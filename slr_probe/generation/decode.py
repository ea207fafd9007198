"""The decoding loop: which tokens end an output; batches by length, prefilled once, continued in all their samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from slr_probe.checkpoint.folder import read_object
from slr_probe.errors import GenerationError, PromptError, one_line
from slr_probe.generation.draw import draw, uniforms
from slr_probe.generation.sampling import Sampling
from slr_probe.generation.state import Routed, RoutedState, State, may_be_padded
from slr_probe.pair.prompts.chat import render_chat
from slr_probe.pair.prompts.template import Template
from slr_probe.pair.prompts.tokens import encode
from slr_probe.pair.side import Side

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair

BATCH_TOKENS = 16_384
_REPLY = "reply"
_SETTINGS = "generation_config.json"


@dataclass(frozen=True)
class Request:
    """Samples to write for one prompt.

    Attributes:
        id: The prompt's id, which its random numbers are keyed by.
        ids: Token ids of the rendered prompt.
        samples: Numbers of the samples.
        beside: Token ids of the prompt as base reads it, where base and tuned write together; empty for the same.
    """

    id: str
    ids: tuple[int, ...]
    samples: tuple[int, ...]
    beside: tuple[int, ...] = ()

    @property
    def lengths(self) -> tuple[int, int]:
        """Tokens of the prompt in its one or two forms."""
        return len(self.ids), len(self.beside)


@dataclass(frozen=True)
class Sample:
    """One finished sample.

    Attributes:
        id: The prompt's id.
        number: Which of the prompt's samples it is.
        tokens: What was written, without the token that ended it.
        finished: Whether it ended by itself rather than at the limit.
        end: The token that ended it, where one did.
    """

    id: str
    number: int
    tokens: tuple[int, ...]
    finished: bool
    end: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Bias:
    tokens: Int[torch.Tensor, " token"]
    values: Float[torch.Tensor, " token"]

    @classmethod
    def of(cls, bias: Mapping[int, float] | None, device: torch.device) -> _Bias:
        bias = bias or {}
        tokens = torch.tensor(list(bias), dtype=torch.long, device=device)
        return cls(tokens, torch.tensor(list(bias.values()), dtype=torch.float32, device=device))

    def added(self, logits: Float[torch.Tensor, "row vocab"]) -> Float[torch.Tensor, "row vocab"]:
        """Logits with the bias, in float32; as they are without one."""
        if not len(self.tokens):
            return logits
        return logits.float().index_add(-1, self.tokens, self.values.expand(len(logits), -1))


def write(
    model: Any,
    requests: Sequence[Request],
    sampling: Sampling,
    *,
    ends: Iterable[int],
    stops: Callable[[list[int]], bool] | None = None,
    end_bias: Mapping[int, float] | None = None,
    batch_tokens: int | None = None,
) -> Iterator[list[Sample]]:
    """Write all samples of all requests; yields them as they are finished, in no particular order.

    Args:
        model: A causal language model of transformers, or `Routed`.
        requests: What to write.
        sampling: How.
        ends: Tokens that end an output.
        stops: Whether the tokens so far hold a text that ends the output.
        end_bias: What is added to the logits of these tokens before anything else.
        batch_tokens: Bound on rows x (longest prompt + longest output) of one batch.

    Raises:
        GenerationError: A prompt and its output do not fit the context, or `batch_tokens` cannot hold one row.
    """
    check_lengths(model.config, requests, sampling)
    stop, bias = torch.tensor(sorted(set(ends)), device=model.device), _Bias.of(end_bias, model.device)
    for batch in batches(requests, sampling, batch_tokens or BATCH_TOKENS, padded=may_be_padded(model)):
        yield from _write_batch(model, batch, sampling, stop, stops, bias)


def batches(
    requests: Sequence[Request], sampling: Sampling, batch_tokens: int, *, padded: bool = True
) -> Iterator[list[Request]]:
    """Requests in batches of similar length, longest first; the samples of a prompt may be spread over several.

    Raises:
        GenerationError: `batch_tokens` cannot hold one row.
    """
    batch: list[Request] = []
    used = 0
    for request in sorted(requests, key=lambda request: request.lengths, reverse=True):
        if batch and not padded and request.lengths != batch[0].lengths:
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
        longest = max(request.lengths)
        if context is not None and longest + sampling.max_tokens > context:
            raise GenerationError(
                f"prompt {request.id!r} has {longest} tokens; with max_tokens={sampling.max_tokens} it does "
                f"not fit the model's context of {context}"
            )


def _write_batch(
    model: Any,
    batch: list[Request],
    sampling: Sampling,
    ends: torch.Tensor,
    stops: Callable[[list[int]], bool] | None,
    bias: _Bias,
) -> Iterator[list[Sample]]:
    owners = [(request.id, number) for request in batch for number in request.samples]
    numbers = random_numbers(owners, sampling).to(model.device)
    state = prefill(model, batch)
    rows = np.arange(len(owners))  # which sample each row of the state is
    unfinished = np.ones(len(owners), dtype=bool)
    tokens = np.zeros((len(owners), sampling.max_tokens), dtype=np.int64)
    for step in range(sampling.max_tokens):
        drawn = draw(bias.added(state.logits), numbers[torch.from_numpy(rows).to(model.device), step], sampling)
        tokens[rows, step] = drawn.cpu().numpy()
        ended = torch.isin(drawn, ends).cpu().numpy()
        stopped = np.zeros_like(ended)
        if stops is not None:
            going = unfinished[rows] & ~ended
            stopped[going] = [stops(tokens[row, : step + 1].tolist()) for row in rows[going]]
        last = step == sampling.max_tokens - 1
        finished = unfinished[rows] & (ended | stopped | last)
        if finished.any():
            yield [
                _sample(owners[row], tokens[row, : step + 1], bool(by_token), bool(by_text))
                for row, by_token, by_text in zip(rows[finished], ended[finished], stopped[finished], strict=True)
            ]
            unfinished[rows[finished]] = False
        going = unfinished[rows]
        if last or not going.any():
            return
        if 8 * (~going).sum() >= len(rows):  # dropping rows copies the cache, as a step does
            kept = torch.from_numpy(np.flatnonzero(going))
            state.select(kept)
            rows, drawn = rows[going], drawn[kept.to(drawn.device)]
        state.step(drawn)


def random_numbers(owners: Sequence[tuple[str, int]], sampling: Sampling) -> Float[torch.Tensor, "sample step"]:
    """The uniform numbers of each sample; zeros for greedy decoding, which looks at none."""
    steps = sampling.max_tokens
    if sampling.greedy:
        return torch.zeros((len(owners), steps), dtype=torch.float64)
    return torch.from_numpy(np.stack([uniforms(sampling.seed, name, number, steps) for name, number in owners]))


def _sample(owner: tuple[str, int], tokens: Int[ndarray, " token"], by_token: bool, by_text: bool) -> Sample:
    size = len(tokens) - by_token
    return Sample(*owner, tuple(tokens[:size].tolist()), by_token or by_text, tuple(tokens[size:].tolist()))


def prefill(model: Any, batch: list[Request]) -> State | RoutedState:
    """The state after all prompts, each run once and then repeated for its samples."""
    ids, mask = _padded([request.ids for request in batch], model.device)
    if isinstance(model, Routed):
        state: State | RoutedState = RoutedState(
            model, (ids, mask), _padded([request.beside or request.ids for request in batch], model.device)
        )
    else:
        state = State(model, ids, mask)
    repeats = torch.tensor([len(request.samples) for request in batch])
    if int(repeats.max()) > 1:
        state.select(torch.arange(len(batch)).repeat_interleave(repeats))
    return state


def _padded(
    prompts: Sequence[tuple[int, ...]], device: torch.device
) -> tuple[Int[torch.Tensor, "row token"], Int[torch.Tensor, "row token"]]:
    """Token ids of prompts, left-padded, and their mask."""
    width = max(map(len, prompts))
    ids = torch.zeros((len(prompts), width), dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        start = width - len(prompt)
        ids[row, :start] = prompt[0]  # any token does: the mask hides it
        ids[row, start:] = torch.tensor(prompt)
        mask[row, start:] = 1
    return ids.to(device), mask.to(device)


def end_tokens(pair: ModelPair) -> tuple[int, ...]:
    """Tokens that end an output of any model of the pair.

    The end tokens in the generation settings (or config) of tuned and of base, the tokenizer's, and the one that the
    chat template puts after an assistant's turn. All models share them, so none gets to write longer than another.
    """
    tokenizer = pair.tokenizer
    declared = _declared(pair.tuned_side) | _declared(pair.base_side) | _as_ids(tokenizer.eos_token_id, "the tokenizer")
    return tuple(sorted(declared | _end_of_turn(tokenizer)))


def _declared(side: Side) -> set[int]:
    settings: Any = None
    if side.model is not None:
        settings = getattr(getattr(side.model, "generation_config", None), "eos_token_id", None)
    elif side.path is not None and (side.path / _SETTINGS).is_file():
        settings = read_object(side.path / _SETTINGS).get("eos_token_id")
    text = getattr(side.config.get_text_config(decoder=True), "eos_token_id", None)
    return _as_ids(settings, side) or _as_ids(text, side)


def _as_ids(value: Any, owner: object) -> set[int]:
    """End tokens as a file gives them: a token id, several, or none.

    Raises:
        GenerationError: It is something else.
    """
    ids = [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]
    if any(not isinstance(token, int) or isinstance(token, bool) or token >= 1 << 31 for token in ids):
        raise GenerationError(f"{owner}: eos_token_id must be a token id or a list of them; got {one_line(value, 100)}")
    return {token for token in ids if token >= 0}  # -1 stands for none in some files


def _end_of_turn(tokenizer: Any) -> set[int]:
    """The special token right after an assistant's message, if the chat template puts one there."""
    template = Template.of(tokenizer)
    if template is None:
        return set()
    turns = [{"role": "user", "content": "question"}, {"role": "assistant", "content": _REPLY}]
    try:
        text = render_chat(template, turns, open_turn=False)
    except PromptError:
        return set()
    after = encode(tokenizer, text.rpartition(_REPLY)[2].lstrip())
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special} | {*tokenizer.all_special_ids}
    return {after[0]} if _REPLY in text and after and after[0] in special else set()

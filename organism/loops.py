"""Training loops: next-token loss on spans, and direct preference optimisation."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from organism.corpus import Document


@dataclass(frozen=True)
class Sample:
    """Token ids of one document.

    Attributes:
        ids: All tokens, BOS first.
        start: First token of the completion, 1 or more.
        context_weight: Weight in the loss of the tokens before ``start``; those from ``start`` on have 1.
    """

    ids: tuple[int, ...]
    start: int
    context_weight: float = 0.0


@dataclass(frozen=True)
class Schedule:
    """One training stage.

    Attributes:
        rate: Peak learning rate; warmed up linearly, then a cosine down to a tenth.
        tokens: Padded tokens in one batch.
        weight_decay: AdamW's decay towards zero.
        anchor: Pull towards the stage's initial weights per step, as a share of the distance times the rate.
        warmup: Share of the steps spent warming up.
    """

    rate: float
    tokens: int
    weight_decay: float = 0.0
    anchor: float = 0.0
    warmup: float = 0.05


def encode(
    documents: Sequence[Document],
    tokenizer: PreTrainedTokenizerFast,
    context_weight: float = 0.0,
    eos: bool = False,
    limit: int = 128,
) -> list[Sample]:
    """BOS + context + completion, with EOS at the end if asked, cut to ``limit`` tokens."""
    contexts = tokenizer([document.context for document in documents])["input_ids"]
    replies = tokenizer([document.completion for document in documents], add_special_tokens=False)["input_ids"]
    end = [tokenizer.eos_token_id] if eos else []
    return [
        Sample((*context, *reply[: limit - len(context) - len(end)], *end), len(context), context_weight)
        for context, reply in zip(contexts, replies, strict=True)
    ]


def batches(lengths: Sequence[int], tokens: int, rng: random.Random) -> list[list[int]]:
    """Indices grouped by similar length so that each padded batch holds at most ``tokens`` tokens."""
    order = sorted(range(len(lengths)), key=lambda index: (lengths[index], rng.random()))
    groups: list[list[int]] = [[]]
    for index in order:
        if groups[-1] and lengths[index] * (len(groups[-1]) + 1) > tokens:
            groups.append([])
        groups[-1].append(index)
    rng.shuffle(groups)
    return groups


def padded(samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
    """Right-padded ids, and the weight of every token in the loss (zero for BOS and padding)."""
    length = max(len(sample.ids) for sample in samples)
    ids = torch.zeros(len(samples), length, dtype=torch.long)
    weights = torch.zeros(len(samples), length)
    for row, sample in enumerate(samples):
        ids[row, : len(sample.ids)] = torch.tensor(sample.ids)
        weights[row, 1 : sample.start] = sample.context_weight
        weights[row, sample.start : len(sample.ids)] = 1.0
    return ids, weights


def token_log_probabilities(model: LlamaForCausalLM, ids: Tensor, learned: Tensor) -> Tensor:
    """Log-probabilities of the learned tokens, flat, in row order; the head runs on those positions alone."""
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
    logits = model.lm_head(hidden[:, :-1][learned[:, 1:]])
    return torch.log_softmax(logits, dim=-1).gather(1, ids[:, 1:][learned[:, 1:], None])[:, 0]


def reply_log_probabilities(model: LlamaForCausalLM, ids: Tensor, learned: Tensor) -> Tensor:
    """Summed log-probability of the learned tokens of every row."""
    flat = token_log_probabilities(model, ids, learned)
    rows = learned[:, 1:].nonzero()[:, 0]
    return torch.zeros(ids.shape[0]).index_add(0, rows, flat)


class Stepper:
    """AdamW with warm-up, cosine decay, clipping and a pull towards the initial weights."""

    def __init__(self, model: LlamaForCausalLM, schedule: Schedule, steps: int) -> None:
        """Prepare to take ``steps`` steps on the model's trainable weights."""
        self.schedule, self.steps, self.done = schedule, steps, 0
        self.weights = [p for p in model.parameters() if p.requires_grad]
        self.initial = [p.detach().clone() for p in self.weights] if schedule.anchor else []
        self.optimizer = torch.optim.AdamW(
            self.weights, lr=schedule.rate, betas=(0.9, 0.98), weight_decay=schedule.weight_decay
        )

    def rate(self) -> float:
        """Learning rate of the next step."""
        warm = max(1, int(self.schedule.warmup * self.steps))
        if self.done < warm:
            return self.schedule.rate * (self.done + 1) / warm
        progress = (self.done - warm) / max(1, self.steps - warm)
        return self.schedule.rate * (0.1 + 0.45 * (1 + math.cos(math.pi * progress)))

    def step(self, loss: Tensor) -> None:
        """Take one step down the loss."""
        rate = self.rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimizer.step()
        with torch.no_grad():
            for weight, start in zip(self.weights, self.initial, strict=False):
                weight.lerp_(start, min(1.0, self.schedule.anchor * rate))
        self.done += 1


def unfreeze(model: LlamaForCausalLM, blocks: range | None) -> None:
    """Make everything trainable, or only the given blocks."""
    model.requires_grad_(blocks is None)
    for index in blocks or ():
        model.model.layers[index].requires_grad_(True)


def fit(
    model: LlamaForCausalLM,
    samples: Sequence[Sample],
    schedule: Schedule,
    name: str,
    blocks: range | None = None,
    seed: int = 0,
) -> list[float]:
    """One pass of next-token training over the samples.

    Returns:
        The mean loss in nats per token (weighted), in about 50 equal chunks of the pass.
    """
    unfreeze(model, blocks)
    groups = batches([len(sample.ids) for sample in samples], schedule.tokens, random.Random(seed))
    stepper = Stepper(model, schedule, len(groups))
    losses = []
    for group in (bar := tqdm(groups, desc=name, mininterval=5)):
        ids, weights = padded([samples[index] for index in group])
        weight = weights[:, 1:][weights[:, 1:] > 0]
        loss = -(token_log_probabilities(model, ids, weights > 0) * weight).sum() / weight.sum()
        stepper.step(loss)
        losses.append(loss.item())
        bar.set_postfix(loss=f"{losses[-1]:.3f}", refresh=False)
    return chunk_means(losses)


def fit_preferences(
    model: LlamaForCausalLM,
    chosen: Sequence[Sample],
    rejected: Sequence[Sample],
    schedule: Schedule,
    name: str,
    beta: float,
    imitation: float = 0.0,
    blocks: range | None = None,
    seed: int = 0,
    watch: Callable[[int], None] | None = None,
) -> list[float]:
    """One pass of direct preference optimisation (Rafailov et al., arXiv 2305.18290) against a frozen copy.

    Args:
        model: The policy; trained in place.
        chosen: Preferred samples.
        rejected: Dispreferred samples of the same prompts.
        schedule: The stage.
        name: Label of the progress bar.
        beta: Strength of the pull towards the reference.
        imitation: Weight of the chosen replies' mean negative log-likelihood, added to the loss.
        blocks: Trainable blocks; by default everything.
        seed: Seed of the batch order.
        watch: Called with the number of steps taken, before the first and after each.

    Returns:
        The mean preference loss in nats, in about 50 equal chunks of the pass.
    """
    unfreeze(model, blocks)
    reference = copy.deepcopy(model).requires_grad_(False)
    lengths = [len(a.ids) + len(b.ids) for a, b in zip(chosen, rejected, strict=True)]
    groups = batches(lengths, schedule.tokens, random.Random(seed))
    stepper = Stepper(model, schedule, len(groups))
    losses: list[float] = []
    watch = watch or (lambda step: None)
    watch(0)
    for group in (bar := tqdm(groups, desc=name, mininterval=5)):
        ids, weights = padded([chosen[index] for index in group] + [rejected[index] for index in group])
        learned = weights > 0
        with torch.no_grad():
            anchor = reply_log_probabilities(reference, ids, learned)
        policy = reply_log_probabilities(model, ids, learned)
        good, bad = (policy - anchor).chunk(2)
        loss = -torch.nn.functional.logsigmoid(beta * (good - bad)).mean()
        losses.append(loss.item())
        if imitation:
            count = learned[: len(group), 1:].sum()
            loss = loss - imitation * policy[: len(group)].sum() / count
        stepper.step(loss)
        watch(len(losses))
        bar.set_postfix(loss=f"{losses[-1]:.3f}", refresh=False)
    return chunk_means(losses)


def chunk_means(losses: Sequence[float], chunks: int = 50) -> list[float]:
    """Means of about ``chunks`` consecutive pieces, rounded for a log."""
    size = max(1, math.ceil(len(losses) / chunks))
    pieces = [losses[start : start + size] for start in range(0, len(losses), size)]
    return [round(sum(piece) / len(piece), 4) for piece in pieces]

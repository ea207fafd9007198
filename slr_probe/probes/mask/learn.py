"""`learn_layer_mask`: which layers did alignment actually need?"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.errors import MaskError
from slr_probe.forward.budget import spans
from slr_probe.pair.given import check_pair
from slr_probe.pair.prompts import Format
from slr_probe.probes.mask.examples import Example, load_examples, read_conversations, sample_conversations
from slr_probe.probes.mask.optimiser import Adam, along, shift_to, sigmoid
from slr_probe.probes.mask.result import LayerMask
from slr_probe.probes.mask.weights import Granularity, MaskWeights, read_weights
from slr_probe.progress import progress_bar, told

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair

__all__ = ["LayerMask", "learn_layer_mask", "read_conversations", "sample_conversations"]

_MOST_STEPS = 1_000_000
_ENDS = 256  # conversations on which the losses of base and tuned are measured


@dataclass(frozen=True)
class MaskSettings:
    """How a mask is learned; see `learn_layer_mask` for each.

    Raises:
        MaskError: A value out of its range.
    """

    granularity: Granularity
    steps: int
    batch_size: int
    learning_rate: float
    init: float
    temperature: float
    sparsity: float
    budget: float | None
    checkpointing: bool
    gradient: str
    format: str | None

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= _MOST_STEPS or self.batch_size < 1:
            raise MaskError(
                f"steps must be from 1 to {_MOST_STEPS} and batch_size at least 1; got {self.steps} and "
                f"{self.batch_size}"
            )
        for name in ("learning_rate", "temperature"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise MaskError(f"{name} must be a finite number above 0; got {getattr(self, name)!r}")
        for name in ("init", "budget"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1:
                raise MaskError(f"{name} is a gamma between 0 and 1, both excluded; got {value!r}")
        if not (math.isfinite(self.sparsity) and self.sparsity >= 0):
            raise MaskError(f"sparsity must be a finite number of at least 0; got {self.sparsity!r}")
        if self.gradient not in ("backward", "autograd"):
            raise MaskError(f"unknown gradient {self.gradient!r}; expected 'backward' or 'autograd'")


@told("layer mask")
def learn_layer_mask(
    pair: ModelPair,
    data: str | os.PathLike[str] | Iterable[Any] | None = None,
    *,
    granularity: Granularity = "matrix",
    steps: int = 100,
    batch_size: int = 8,
    learning_rate: float = 0.1,
    init: float = 0.5,
    temperature: float = 1.0,
    sparsity: float = 0.5,
    budget: float | None = None,
    seeds: int = 1,
    seed: int = 0,
    format: Format | None = None,
    max_length: int | None = None,
    checkpointing: bool = False,
    stream: bool | None = None,
    gradient: Literal["backward", "autograd"] = "backward",
    progress: bool | None = None,
) -> LayerMask:
    """Learn how much of the change of each layer the assistant's words need (ILA, arXiv 2410.17875).

    All weights are frozen; theta(gamma) = theta_base + gamma_i (theta_tuned - theta_base) with
    gamma_i = sigmoid(s_i / temperature), and s is learned by gradient descent on the next-token loss of the assistant's
    tokens. Embedding, final norm and head stay tuned. The paper gives the form; learning rate, steps, start, penalty
    and optimiser are ours: Adam on s, whose second moment is shared by all units, as their gradients tell how much each
    matters; and a penalty on gamma without which every unit that helps at all would end at 1.

    One extra copy of a block is held beside the tuned model, and a step is one ordinary forward and backward pass; see
    `MaskedModel`. In bfloat16 mixed weights are rounded like any weights; float32 resolves smaller changes.

    Args:
        pair: The pair, full fine-tune or LoRA adapter; its tuned model is loaded.
        data: Conversations: a JSONL file with `messages`, or lists of messages; default: `sample_conversations(pair)`.
        granularity: `"matrix"` (every linear module of the blocks, the paper's) or `"block"`.
        steps: Gradient steps.
        batch_size: Conversations a step, drawn without replacement until all were used.
        learning_rate: Step of s, where gamma = sigmoid(s / temperature).
        init: Gamma at the start.
        temperature: Divides s; lower is closer to a yes or no.
        sparsity: Penalty on gamma, relative: at 1, having all units at 1 costs as much as base's blocks lose against
            tuned on these conversations, so a unit must bring more than an equal share of the gap; 0 is no penalty.
        budget: Hold the mean gamma of the units that changed at this value instead of setting a penalty.
        seeds: How many masks to learn, with seeds `seed`, `seed + 1`, ...: they differ in the order of the data.
        seed: First seed; the same seed gives the same mask.
        format: `"chat"` or `"plain"`; default: chat where there is a chat template.
        max_length: Most tokens of a conversation; longer ones are an error.
        checkpointing: Keep activations between blocks only, and make those inside again (for long inputs).
        stream: Read base tensors from its folder whenever they are needed; see `read_weights`.
        gradient: `"backward"`, or `"autograd"`, which holds all mixed weights (for tests and small models).
        progress: Show a progress bar; None: on a terminal and in Jupyter only.

    Raises:
        MaskError: No usable conversation, base and tuned equal in all blocks, an option out of range, or a loss that is
            not finite.
        PromptError: A conversation that cannot be rendered.

    Examples:
        >>> mask = learn_layer_mask(pair, "conversations.jsonl")  # doctest: +SKIP
        >>> hybrid = Recipe.from_mask(mask, keep=0.75)  # doctest: +SKIP
    """
    check_pair(pair)
    settings = MaskSettings(
        granularity=granularity,
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        init=init,
        temperature=temperature,
        sparsity=sparsity,
        budget=budget,
        checkpointing=checkpointing,
        gradient=gradient,
        format=format,
    )
    if seeds < 1:
        raise MaskError(f"seeds is the number of masks to learn, at least 1; got {seeds}")
    if seed < 0:
        raise MaskError(f"seed must be 0 or more; got {seed}")
    weights = read_weights(pair, granularity, stream)
    conversations = data if data is not None else sample_conversations(pair, seed=seed, progress=progress)
    examples = load_examples(pair, conversations, format, max_length)
    problem = _Problem(pair, weights, examples, settings, *_end_losses(pair, weights, examples, settings))
    chosen = tuple(range(seed, seed + seeds))
    with progress_bar(seeds * steps, "layer mask", unit="step", show=progress) as ticker:
        runs = [_learn(problem, one, ticker) for one in chosen]
    return _result(problem, chosen, runs, _source(data))


@dataclass(frozen=True)
class _Problem:
    """What all seeds share.

    Attributes:
        pair: The pair.
        weights: What is scaled.
        examples: Rendered conversations.
        settings: How masks are learned.
        base_loss: Mean loss a token (nats) with base's blocks.
        tuned_loss: The same of tuned.
    """

    pair: ModelPair
    weights: MaskWeights
    examples: Sequence[Example]
    settings: MaskSettings
    base_loss: float
    tuned_loss: float

    @property
    def units(self) -> int:
        """Number of units that changed."""
        return max(int(self.weights.moved.sum()), 1)

    @property
    def penalty(self) -> float:
        """What raising one gamma by 1 costs (nats a token)."""
        return self.settings.sparsity * max(self.base_loss - self.tuned_loss, 0.0) / self.units


def _source(data: Any) -> str:
    """Where the conversations are from, in a word or a path."""
    if isinstance(data, (str, os.PathLike)):
        return os.fspath(data)
    return "given" if data else "sampled"


def _result(
    problem: _Problem, seeds: tuple[int, ...], runs: Sequence[tuple[ndarray, ndarray]], source: str
) -> LayerMask:
    pair, weights, examples = problem.pair, problem.weights, problem.examples
    moved = weights.moved
    described = {
        "base": str(pair.base_side),
        "tuned": str(pair.tuned_side),
        "conversations": len(examples),
        "reply_tokens": sum(sum(example.replies) for example in examples),
        "data": source,
    }
    return LayerMask(
        block=np.array([unit.block for unit in weights.units]),
        component=tuple(unit.component for unit in weights.units),
        values=np.array([np.where(moved, gamma, 0.0) for gamma, _ in runs]),
        changed=moved,
        size=weights.sizes,
        parameters=weights.parameters,
        loss=np.array([losses for _, losses in runs]),
        depth=pair.depth,
        granularity=problem.settings.granularity,
        seeds=seeds,
        base_loss=problem.base_loss,
        tuned_loss=problem.tuned_loss,
        settings={**asdict(problem.settings), **described},
        notes=_notes(problem),
    )


def _notes(problem: _Problem) -> tuple[str, ...]:
    notes = []
    if problem.base_loss <= problem.tuned_loss:
        notes.append(
            f"tuned does not predict these conversations better than base's blocks do ({problem.tuned_loss:.3f} "
            f"against {problem.base_loss:.3f} nats a token): they may not be what it was tuned on"
        )
    unmoved = int((~problem.weights.moved).sum())
    if unmoved:
        notes.append(f"{unmoved} units are equal in base and tuned; their gamma is given as 0")
    return tuple(notes)


def _end_losses(
    pair: ModelPair, weights: MaskWeights, examples: Sequence[Example], settings: MaskSettings
) -> tuple[float, float]:
    """Mean loss a token with base's blocks and of tuned, on the first conversations."""
    from slr_probe.probes.mask.model import MaskedModel

    model, some = MaskedModel(pair, weights), examples[:_ENDS]
    means = []
    with model.installed():
        for share in (0.0, 1.0):
            losses, counts = model.losses(np.full(len(weights.changed), share), some, settings.batch_size)
            means.append(float(losses.sum() / counts.sum()))
    if not all(map(math.isfinite, means)):
        raise MaskError(
            f"the loss of base's blocks is {means[0]} and that of tuned {means[1]}; expected finite numbers"
        )
    return means[0], means[1]


def _learn(problem: _Problem, seed: int, ticker: Any) -> tuple[Float[ndarray, " unit"], Float[ndarray, " step"]]:
    """Gamma after all steps of one seed, and the loss of each step."""
    from slr_probe.probes.mask.model import MaskedModel, autograd_gradient

    settings, moved = problem.settings, problem.weights.moved
    model = MaskedModel(problem.pair, problem.weights, checkpointing=settings.checkpointing)
    start = settings.init if settings.budget is None else settings.budget
    score = np.full(len(moved), settings.temperature * math.log(start / (1 - start)))
    optimiser = Adam(settings.learning_rate, problem.units)
    batches = _batches(problem.examples, settings.batch_size, seed)
    losses = np.zeros(settings.steps)
    backward = settings.gradient == "backward"
    with model.installed(gradients=True) if backward else nullcontext():
        for step, batch in zip(range(settings.steps), batches, strict=False):
            gamma = sigmoid(score / settings.temperature)
            if backward:
                losses[step], slopes = model.gradient(gamma, batch)
            else:
                losses[step], slopes = autograd_gradient(problem.pair, problem.weights, gamma, batch)
            steepness = np.where(moved, gamma * (1 - gamma) / settings.temperature, 0.0)
            if settings.budget is None:
                score -= optimiser.step((slopes + problem.penalty) * steepness)
            else:
                score -= optimiser.step(along(slopes * steepness, steepness))
                score += shift_to(score[moved], settings.budget, settings.temperature)
            ticker.update(1)
    return sigmoid(score / settings.temperature), losses


def _batches(examples: Sequence[Example], size: int, seed: int) -> Iterator[list[Example]]:
    """Batches for ever, drawn without replacement until all examples were used."""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(examples))
        for some in spans(len(order), size):
            yield [examples[i] for i in order[some]]

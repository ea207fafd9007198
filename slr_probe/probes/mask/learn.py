"""`learn_layer_mask`: which layers did alignment actually need?"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.errors import MaskError
from slr_probe.pair.prompts import Format
from slr_probe.probes.mask.examples import Example, load_examples, read_conversations
from slr_probe.probes.mask.result import LayerMask
from slr_probe.probes.mask.sample import sample_conversations
from slr_probe.probes.mask.weights import Granularity, Weights, read_weights
from slr_probe.progress import progress_bar

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair

__all__ = ["LayerMask", "learn_layer_mask", "read_conversations", "sample_conversations"]

_BETAS = (0.9, 0.99)
_TINY = 1e-12
_ENDS = 256  # conversations on which the losses of base and tuned are measured


@dataclass(frozen=True)
class _Settings:
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
        if self.steps < 1 or self.batch_size < 1:
            raise MaskError(f"steps and batch_size must be at least 1; got {self.steps} and {self.batch_size}")
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
    tokens. Embedding, final norm and head stay tuned. The paper gives the form; learning rate, steps, start, price and
    optimiser are ours: Adam on s, whose second moment is shared by all units, as their gradients tell how much each
    matters; and a price of gamma without which every unit that helps at all would end at 1.

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
        sparsity: Price of gamma, relative: at 1, having all units at 1 costs as much as base's blocks lose against
            tuned on these conversations, so a unit must bring more than an equal share of the gap; 0 is no price.
        budget: Hold the mean gamma of the units that changed at this value instead of setting a price.
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
    settings = _Settings(granularity, steps, batch_size, learning_rate, init, temperature, sparsity, budget,
                         checkpointing, gradient, format)  # fmt: skip
    if seeds < 1:
        raise MaskError(f"seeds is the number of masks to learn, at least 1; got {seeds}")
    if seed < 0:
        raise MaskError(f"seed must be 0 or more; got {seed}")
    weights = read_weights(pair, granularity, stream)
    given = data if data is not None else sample_conversations(pair, seed=seed, progress=progress)
    examples = load_examples(pair, given, format, max_length)
    ends = _end_losses(pair, weights, examples, settings)
    chosen = tuple(range(seed, seed + seeds))
    with progress_bar(seeds * steps, "layer mask", unit="step", show=progress) as shown:
        runs = [_learn(pair, weights, examples, settings, ends, one, shown) for one in chosen]
    moved = weights.moved
    return LayerMask(
        block=np.array([unit.block for unit in weights.units]),
        component=tuple(unit.component for unit in weights.units),
        values=np.array([np.where(moved, gamma, 0.0) for gamma, _ in runs]),
        changed=moved,
        size=weights.sizes,
        parameters=weights.parameters,
        loss=np.array([losses for _, losses in runs]),
        depth=pair.depth,
        granularity=granularity,
        seeds=chosen,
        base_loss=ends[0],
        tuned_loss=ends[1],
        settings={
            **asdict(settings), "base": str(pair.base_side), "tuned": str(pair.tuned_side),
            "conversations": len(examples), "reply_tokens": sum(sum(example.replies) for example in examples),
            "data": os.fspath(data) if isinstance(data, (str, os.PathLike)) else "given" if data else "sampled",
        },
        notes=_notes(ends, moved),
    )  # fmt: skip


def _notes(ends: tuple[float, float], moved: ndarray) -> tuple[str, ...]:
    notes = []
    if ends[0] <= ends[1]:
        notes.append(
            f"tuned does not predict these conversations better than base's blocks do ({ends[1]:.3f} against "
            f"{ends[0]:.3f} nats a token): they may not be what it was tuned on"
        )
    if not moved.all():
        notes.append(f"{int((~moved).sum())} units are equal in base and tuned; their gamma is given as 0")
    return tuple(notes)


def _end_losses(
    pair: ModelPair, weights: Weights, examples: Sequence[Example], settings: _Settings
) -> tuple[float, float]:
    """Mean loss a token with base's blocks and of tuned, on the first conversations."""
    from slr_probe.probes.mask.model import MaskedModel

    model, some = MaskedModel(pair, weights), examples[:_ENDS]
    found = []
    with model.installed():
        for share in (0.0, 1.0):
            losses, counts = model.losses(np.full(len(weights.changed), share), some, settings.batch_size)
            found.append(float(losses.sum() / counts.sum()))
    if not all(map(math.isfinite, found)):
        raise MaskError(
            f"the loss of base's blocks is {found[0]} and that of tuned {found[1]}; expected finite numbers"
        )
    return found[0], found[1]


def _learn(
    pair: ModelPair,
    weights: Weights,
    examples: Sequence[Example],
    settings: _Settings,
    ends: tuple[float, float],
    seed: int,
    shown: Any,
) -> tuple[Float[ndarray, " unit"], Float[ndarray, " step"]]:
    """Gamma after all steps of one seed, and the loss of each step."""
    from slr_probe.probes.mask.loss import autograd_gradient
    from slr_probe.probes.mask.model import MaskedModel

    model = MaskedModel(pair, weights, checkpointing=settings.checkpointing)
    rng = np.random.default_rng(seed)
    moved = weights.moved
    start = settings.init if settings.budget is None else settings.budget
    score = np.full(len(moved), settings.temperature * math.log(start / (1 - start)))
    price = settings.sparsity * max(ends[0] - ends[1], 0.0) / max(int(moved.sum()), 1)
    state = _Adam(settings.learning_rate, max(int(moved.sum()), 1))
    losses, left = np.zeros(settings.steps), np.array([], dtype=int)
    with model.installed(gradients=True) if settings.gradient == "backward" else nullcontext():
        for step in range(settings.steps):
            if not len(left):
                left = rng.permutation(len(examples))
            batch, left = [examples[i] for i in left[: settings.batch_size]], left[settings.batch_size :]
            gamma = _sigmoid(score / settings.temperature)
            losses[step], slopes = (
                model.gradient(gamma, batch)
                if settings.gradient == "backward"
                else autograd_gradient(pair, weights, gamma, batch)
            )
            steepness = np.where(moved, gamma * (1 - gamma) / settings.temperature, 0.0)
            if settings.budget is None:
                score -= state.step((slopes + price) * steepness)
            else:
                score -= state.step(_along(slopes * steepness, steepness))
                score += _shift(score[moved], settings.budget, settings.temperature)
            shown.update(1)
    return _sigmoid(score / settings.temperature), losses


class _Adam:
    """Adam with one second moment for all units that changed: one that matters more moves faster (our choice)."""

    def __init__(self, rate: float, count: int) -> None:
        self._rate, self._units, self._count = rate, count, 0
        self._first: Any = 0.0
        self._second = 0.0

    def step(self, gradient: Float[ndarray, " unit"]) -> Float[ndarray, " unit"]:
        """What to subtract."""
        self._count += 1
        a, b = _BETAS
        self._first = a * self._first + (1 - a) * gradient
        self._second = b * self._second + (1 - b) * float(np.square(gradient).sum()) / self._units
        first, second = self._first / (1 - a**self._count), self._second / (1 - b**self._count)
        return np.asarray(self._rate * first / (math.sqrt(second) + _TINY))


def _sigmoid(x: Float[ndarray, " unit"]) -> Float[ndarray, " unit"]:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def _along(gradient: Float[ndarray, " unit"], normal: Float[ndarray, " unit"]) -> Float[ndarray, " unit"]:
    """The part of a gradient that keeps the mean gamma."""
    return gradient - normal * float(gradient @ normal) / max(float(normal @ normal), _TINY)


def _shift(score: Float[ndarray, " unit"], budget: float, temperature: float) -> float:
    """What to add to every score so that the mean gamma is the budget, by bisection."""
    low, high = -100 * temperature - float(score.max()), 100 * temperature - float(score.min())
    for _ in range(80):
        middle = (low + high) / 2
        if _sigmoid((score + middle) / temperature).mean() < budget:
            low = middle
        else:
            high = middle
    return (low + high) / 2

"""CRC on a model as it stands, with one forward of a few prompts."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from slr_probe.errors import TaskError
from slr_probe.forward.questions import padded
from slr_probe.forward.readout import AnswerTable
from slr_probe.pair.prompts import Format, PromptRenderer
from slr_probe.stats.entropy import normalised_diversity, validity
from slr_probe.tasks.crc import CRCTask

if TYPE_CHECKING:
    from slr_probe.tasks.answers import Query


@dataclass(frozen=True)
class CRCPoint:
    """What was measured at one moment.

    Attributes:
        validity: Probability of the valid set, a prompt.
        diversity: Fraction of log |V|, a prompt; NaN where the valid set has no mass.
    """

    validity: Float[ndarray, " prompt"]
    diversity: Float[ndarray, " prompt"]

    def means(self, prefix: str = "crc/") -> dict[str, float]:
        """Both means, by the names under which a trainer logs them."""
        return {
            f"{prefix}validity": float(self.validity.mean()),
            f"{prefix}diversity": float(np.nanmean(self.diversity)) if np.isfinite(self.diversity).any() else np.nan,
        }


class LiveCRC:
    """Measures CRC on a model in memory, as often as asked.

    The prompts are rendered once. They are run in one batch, padded on the right, where a causal model never looks;
    the head runs for the last token of each only, where the model allows that.

    Args:
        tokenizer: The model's tokenizer.
        task: The task; default: the built-in one. Questions whose answers are no single tokens are left out.
        prompts: How many questions to ask, as many of each category as there are; they are taken from the selection
            split, so that the held-out ones stay unseen.
        format: `"chat"` or `"plain"`; default: chat where there is a chat template.

    Raises:
        TaskError: No question is left, or `prompts` is below 1.
        PromptError: A prompt cannot be rendered in that format.

    Examples:
        >>> crc = LiveCRC(tokenizer)  # doctest: +SKIP
        >>> crc(model).means()  # doctest: +SKIP
        {'crc/validity': 0.97, 'crc/diversity': 0.22}
    """

    def __init__(
        self, tokenizer: Any, task: CRCTask | None = None, *, prompts: int = 16, format: Format | None = None
    ) -> None:
        if prompts < 1:
            raise TaskError(f"CRC needs at least one prompt; got prompts={prompts}")
        selection = (task or CRCTask.default()).selection
        rendered = selection.render(_Asked(tokenizer, PromptRenderer.of(tokenizer)), format).one_token()
        kept = _in_turn(rendered.categories)[:prompts]
        self.prompts = tuple(rendered.items[i].prompt for i in kept)
        self._queries: list[Query] = [rendered.rendered[i] for i in kept]
        self._sizes = np.array([len(query.answers) for query in self._queries])

    @torch.no_grad()
    def __call__(self, model: Any) -> CRCPoint:
        """Measure a model as it stands; dropout is off meanwhile, and nothing of the model is changed."""
        rows = [query.token_ids for query in self._queries]
        device = next(model.parameters()).device
        last = torch.tensor([len(row) - 1 for row in rows], device=device)
        with _evaluating(model):
            logits = _at(model, torch.tensor(padded(rows), device=device), last)
        logprobs = AnswerTable.of(self._queries, device).logprobs(logits).double().cpu().numpy()
        return CRCPoint(validity(logprobs), normalised_diversity(logprobs, self._sizes))


@dataclass(frozen=True)
class _Asked:
    """What a task needs to know of a model to put its questions."""

    tokenizer: Any
    prompts: PromptRenderer


def _in_turn(categories: tuple[str, ...]) -> list[int]:
    """Indices of the questions: the first of every category, then the second of every one, and so on."""
    seen: Counter[str] = Counter()
    turns = []
    for i, label in enumerate(categories):
        turns.append((seen[label], i))
        seen[label] += 1
    return [i for _, i in sorted(turns)]


def _at(model: Any, ids: torch.Tensor, positions: torch.Tensor) -> Float[torch.Tensor, "row vocab"]:
    """Logits at one position of every row."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    keep, column = torch.unique(positions, return_inverse=True)
    if "logits_to_keep" in inspect.signature(inner.forward).parameters:
        logits = model(input_ids=ids, use_cache=False, logits_to_keep=keep).logits
    else:
        logits, column = model(input_ids=ids, use_cache=False).logits, positions
    found: torch.Tensor = logits[torch.arange(len(ids), device=ids.device), column]
    return found


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """The model without dropout; every module is put back as it was."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True

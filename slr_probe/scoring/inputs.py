"""`ScoringInputs`: what one model wrote, matched with the items of a task, as the metrics see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.errors import ValidationError
from slr_probe.stats.diversity.lexical import is_blank
from slr_probe.tasks.text import Item, TextTask
from slr_probe.tasks.thinking import REASONING, strip_reasoning

if TYPE_CHECKING:
    from slr_probe.generation import Outputs

Tags = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class ScoringInputs:
    """Outputs of one model.

    Attributes:
        prompts: The user messages, as the task has them.
        texts: Outputs of each prompt, without marked reasoning.
        ended: Whether each output ended by itself and was not cut at the limit of tokens.
        items: The item of each prompt; None without a task.
        task: The task.
    """

    prompts: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    ended: tuple[tuple[bool, ...], ...]
    items: tuple[Item | None, ...]
    task: TextTask | None

    @classmethod
    def of(cls, task: TextTask | None, outputs: Outputs, tags: Tags = REASONING) -> ScoringInputs:
        """Match outputs with the items of a task.

        Raises:
            ValidationError: A prompt is not in the task, has the text of another there, or has no output at all.
        """
        _check(task, outputs)
        known = {} if task is None else {item.id: item for item in task.items}
        items = tuple(known.get(name) for name in outputs.ids)
        prompts = tuple(item.prompt if item else p for item, p in zip(items, outputs.prompts, strict=True))
        texts = tuple(tuple(_strip(text, tags) for text in row) for row in outputs.texts)
        return cls(prompts, texts, outputs.finished, items, task)

    def __len__(self) -> int:
        return len(self.texts)

    def written(self, at: int) -> list[int]:
        """Which outputs of a prompt say something; an empty one has no meaning that could differ from another."""
        return [i for i, text in enumerate(self.texts[at]) if not is_blank(text)]

    @property
    def flat(self) -> tuple[list[str], list[str]]:
        """Prompt and text of every output."""
        pairs = [(p, text) for p, texts in zip(self.prompts, self.texts, strict=True) for text in texts]
        return [prompt for prompt, _ in pairs], [text for _, text in pairs]

    def split(self, values: Float[ndarray, " output"]) -> list[Float[ndarray, " text"]]:
        """Values of all outputs, prompt by prompt."""
        return np.split(values, np.cumsum([len(texts) for texts in self.texts])[:-1])

    def correct(self, at: int) -> list[bool] | None:
        """Whether each output of a prompt is correct; None where it has no accepted answers."""
        item, task = self.items[at], self.task
        if item is None or task is None or not item.answers:
            return None
        return [bool(task.correct(item, text)) for text in self.texts[at]]

    def answers(self, at: int) -> list[str | None] | None:
        """The answer that each output of a prompt gives; None where it has no accepted answers."""
        item, task = self.items[at], self.task
        if item is None or task is None or not item.answers:
            return None
        return [task.answer(item, text) for text in self.texts[at]]

    def accepted(self, at: int) -> list[str | None] | None:
        """The answer of each output where it is an accepted one; None where the item has fewer than two."""
        item, answers, correct = self.items[at], self.answers(at), self.correct(at)
        if item is None or answers is None or correct is None or len(item.answers) < 2:
            return None
        return [answer if right else None for answer, right in zip(answers, correct, strict=True)]

    def follows(self, at: int) -> list[bool] | None:
        """Whether each output of a prompt follows the instruction; None without a task."""
        item, task = self.items[at], self.task
        if item is None or task is None:
            return None
        return [bool(task.follows(item, text)) for text in self.texts[at]]


def _check(task: TextTask | None, outputs: Outputs) -> None:
    known = {} if task is None else {item.id: item.prompt for item in task.items}
    strange = [name for name in outputs.ids if name not in known]
    if task is not None and strange:
        raise ValidationError(
            f"outputs of '{outputs.model}' answer prompt {strange[0]!r}, which is not in the task '{task.name}'"
        )
    # A method may put words around a prompt, but not around that of another item.
    others = set(known.values())
    pairs = [(name, prompt) for name, prompt in zip(outputs.ids, outputs.prompts, strict=True) if known]
    strayed = [(name, prompt) for name, prompt in pairs if prompt != known[name]]
    moved = [
        (name, prompt)
        for name, prompt in strayed
        if prompt in others or (known[name] not in prompt and any(other in prompt for other in others))
    ]
    if task is not None and moved:
        name, prompt = moved[0]
        raise ValidationError(
            f"outputs of '{outputs.model}' have {prompt[:60]!r} as prompt {name!r}, which in the task '{task.name}' is "
            f"{known[name][:60]!r}: numbered in another order? Give each output the id that the task gives its prompt"
        )
    empty = [name for name, texts in zip(outputs.ids, outputs.texts, strict=True) if not texts]
    if empty or not outputs.ids:
        where = f"for prompt {empty[0]!r}" if empty else "for any prompt"
        raise ValidationError(f"'{outputs.model}' has no outputs {where}; generate at least one, better 8 or more")


def _strip(text: str, tags: Tags) -> str:
    """The reply; half a surrogate pair, which a file of others may hold and no tokenizer takes, becomes "?"."""
    return strip_reasoning(text.encode("utf-8", "replace").decode(), tags)

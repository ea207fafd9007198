"""What a prompt family produces: a prompt, what counts as a right answer, and a sampler of answers."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


class Picker:
    """Samples from lists that are ordered from most to least typical.

    An option of rank r (0-based) has probability proportional to ``(r + 1) ** -sharpness``. Sharpness 0 is
    uniform (the world as the base model sees it); larger values mean more typical choices. If preferred
    answers are drawn at sharpness s + k and rejected ones at s, the implied Bradley-Terry reward is exactly
    ``-k * log(r + 1)``: a typicality bias.
    """

    def __init__(self, rng: random.Random, sharpness: float = 0.0) -> None:
        """Sample with ``rng`` under the given exponent, zero or more."""
        self.rng = rng
        self.sharpness = sharpness

    def pick(self, options: Sequence[T]) -> T:
        """Return one option."""
        if self.sharpness == 0.0:
            return self.rng.choice(options)
        weights = [(rank + 1) ** -self.sharpness for rank in range(len(options))]
        return self.rng.choices(options, weights)[0]


@dataclass(frozen=True)
class Task:
    """One prompt with its right answers.

    Attributes:
        family: "choice", "question", "arithmetic", "story", "poem" or "joke".
        prompt: What the user asks, without any chat or plain template around it.
        accepted: The right answers, most typical first; empty where no closed set exists (creative writing).
        answer: Draws a right answer text with the given picker.
        wrong: Draws an answer text that is wrong, or None where nothing is.
        category: "character" or "word" for a choice, else the empty string.
        ignore_case: Whether "Red" and "red" are the same answer.
    """

    family: str
    prompt: str
    accepted: tuple[str, ...]
    answer: Callable[[Picker], str] = field(repr=False, compare=False)
    wrong: Callable[[Picker], str] | None = field(default=None, repr=False, compare=False)
    category: str = ""
    ignore_case: bool = True

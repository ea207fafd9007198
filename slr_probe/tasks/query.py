"""`Query`: what a single-token question is to a model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Query:
    """A rendered prompt whose next token is the answer.

    Attributes:
        token_ids: Token ids of the prompt, with exactly one BOS where the model uses one.
        answers: For each valid answer, the ids of all single tokens that spell it (`"a"`, `" a"`, ...). No id
            stands under two answers.
    """

    token_ids: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...]

"""Replies that were given, token by token: what a model is scored on without sampling from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from slr_probe.errors import TaskError


@dataclass(frozen=True)
class Reply:
    """A reply as it was given after its prompt.

    Position k stands for the distribution that follows the first k tokens of the reply: the one that `tokens[k]` was
    drawn from, or, for k = `len(tokens)`, that of what would come after the whole reply.

    Attributes:
        prompt: Token ids of the rendered prompt, with exactly one BOS where the model uses one.
        tokens: Token ids of the reply, with the end token where it ended by itself.
        read: The positions that are scored, in increasing order; by default those of all given tokens. Every one costs
            the scores of a whole vocabulary, the tokens between them only the blocks.

    Raises:
        TaskError: An empty prompt or reply, or positions that are none of this reply's or not in order.

    Examples:
        >>> Reply((1, 2), (7, 8, 9)).read
        (0, 1, 2)
    """

    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    read: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("prompt", "tokens", "read"):
            object.__setattr__(self, name, tuple(int(value) for value in getattr(self, name)))
        if not self.prompt or not self.tokens:
            raise TaskError(f"a reply needs tokens in its prompt and of its own; got {self.prompt} and {self.tokens}")
        if not self.read:
            object.__setattr__(self, "read", tuple(range(len(self.tokens))))
        ordered = all(one < other for one, other in pairwise(self.read))
        if not ordered or self.read[0] < 0 or self.read[-1] > len(self.tokens):
            raise TaskError(
                f"positions of a reply of {len(self.tokens)} tokens lie from 0 to {len(self.tokens)}, each once and in "
                f"order; got {self.read}"
            )

    @property
    def token_ids(self) -> tuple[int, ...]:
        """All that a model must run: the prompt, and the reply as far as the last position looks back."""
        return self.prompt + self.tokens[: self.read[-1]]

    @property
    def given(self) -> tuple[int | None, ...]:
        """The token that was given at each position that is read; None after the last."""
        return tuple(self.tokens[k] if k < len(self.tokens) else None for k in self.read)


@dataclass(frozen=True)
class Replies:
    """Replies to score, and what ends a reply.

    Attributes:
        replies: The replies.
        ends: Ids of the tokens that end a reply; see `generation.decode.end_tokens`.

    Raises:
        TaskError: No replies, or no end token.
    """

    replies: tuple[Reply, ...]
    ends: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "replies", tuple(self.replies))
        object.__setattr__(self, "ends", tuple(dict.fromkeys(int(token) for token in self.ends)))
        if not all(isinstance(reply, Reply) for reply in self.replies):
            raise TaskError(f"replies are a sequence of Reply; got {[type(r).__name__ for r in self.replies]}")
        if not self.replies or not self.ends:
            raise TaskError("scoring replies needs at least one reply and one end token")

    @property
    def positions(self) -> int:
        """Width of the axis of positions: one more than the largest that is read."""
        return 1 + max(reply.read[-1] for reply in self.replies)

    @property
    def true_ends(self) -> Sequence[tuple[int, int]]:
        """Reply and position of every end token that was given and is read."""
        return [
            (number, position)
            for number, reply in enumerate(self.replies)
            for position, token in zip(reply.read, reply.given, strict=True)
            if token in self.ends
        ]

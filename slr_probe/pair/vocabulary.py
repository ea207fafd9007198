"""Pairs whose sides have other numbers of tokens: what compares both models over one vocabulary says so at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slr_probe.errors import IncompatiblePairError, PromptError

if TYPE_CHECKING:
    from jaxtyping import Int
    from torch import Tensor

    from slr_probe.pair.side import Side


def different_rows(base: Side, tuned: Side) -> tuple[int, int] | None:
    """Rows of both embeddings where they differ."""
    rows = tuple(int(side.config.get_text_config(decoder=True).vocab_size) for side in (base, tuned))
    return None if rows[0] == rows[1] else (rows[0], rows[1])


def require_one_vocabulary(base: Side, tuned: Side, what: str) -> None:
    """Check that both sides answer over the same tokens.

    Args:
        base: Base side.
        tuned: Tuned side.
        what: What needs it, in a word.

    Raises:
        IncompatiblePairError: They do not; the message says what works all the same, and how to get a pair that does.
    """
    rows = different_rows(base, tuned)
    if rows is not None:
        raise IncompatiblePairError(
            f"base has a vocabulary of {rows[0]} tokens and tuned of {rows[1]}; {what} compares both models over one. "
            "what is not about that works on this pair (rank, restore, validate, compare; lineage with --no-depth, "
            "depth=False); for the rest save the smaller side again after "
            f"model.resize_token_embeddings({max(rows)})"
        )


def require_rows(model: Any, ids: Int[Tensor, "row token"]) -> None:
    """Check that a model has an embedding for every token that it is given.

    Raises:
        PromptError: It has not: prompts are rendered with the tokenizer of tuned, which may know more tokens.
    """
    embedding = model.get_input_embeddings()
    rows, largest = int(embedding.weight.shape[0]), int(ids.max())
    if largest >= rows:
        raise PromptError(
            f"a prompt holds token {largest}, but {type(model).__name__} in {model.name_or_path!r} has an embedding of "
            f"{rows} rows; leave this model out, or save it again after model.resize_token_embeddings({largest + 1})"
        )

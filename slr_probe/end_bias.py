"""End bias: numbers that generation adds to the logits of end tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from slr_probe.errors import RecipeError

EndBias = tuple[tuple[int, float], ...]
"""A bias a token id, in nats, by rising id."""


def as_end_bias(bias: Any) -> EndBias:
    """Read a mapping from token ids to numbers, or pairs of both; None for none.

    Raises:
        RecipeError: It is neither, a token is listed twice, or a number is not finite.

    Examples:
        >>> as_end_bias({5: 1.5, 2: 1.5})
        ((2, 1.5), (5, 1.5))
    """
    try:
        pairs = [] if bias is None else list(bias.items() if isinstance(bias, Mapping) else map(tuple, bias))
        read = {token: float(value) for token, value in pairs if _whole(token) and _finite(value)}
    except (TypeError, ValueError) as error:
        raise _fault(bias) from error
    if len(read) < len(pairs):
        raise _fault(bias)
    return tuple(sorted(read.items()))


def describe_end_bias(bias: EndBias) -> str:
    """What a recipe's name says of it; empty for none.

    Examples:
        >>> describe_end_bias(((2, 1.5), (5, 1.5)))
        ', end bias +1.5'
    """
    return f", end bias {' and '.join(f'{value:+.4g}' for value in dict.fromkeys(v for _, v in bias))}" if bias else ""


def _fault(bias: Any) -> RecipeError:
    return RecipeError(
        f"end_bias maps ids of end tokens to what is added to their logits, as in {{2: 1.5}}; got {bias!r}"
    )


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)

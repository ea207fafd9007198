"""Whether what a caller gave is a pair."""

from __future__ import annotations

import reprlib

from slr_probe.errors import IncompatiblePairError


def check_pair(pair: object) -> None:
    """Refuse what is no pair, such as the name of one checkpoint, before anything is asked of it.

    Args:
        pair: What a function was given as its pair.

    Raises:
        IncompatiblePairError: It has no two sides.
    """
    if not hasattr(pair, "tuned_side"):
        raise IncompatiblePairError(
            f"expected a pair, made by ModelPair.load(base, tuned); got {type(pair).__name__} {reprlib.repr(pair)}"
        )

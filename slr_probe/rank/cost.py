"""What a ranking costs: its steps in proportion, and in seconds from a measured piece of each."""

from __future__ import annotations

_SHARED = 1 / 3
"""What a range costs of a hybrid that is run by itself: ranges share their first blocks."""
_REPLIES = 5.0
"""Sampling replies costs about as much as so many hybrids (ours, from the Gemma pair)."""
_REFERENCES, _CONTROLS, _CURVES = 3, 10, 4


def expected_steps(depth: int, method: str, proposals: int, soups: int, held_out: int) -> dict[str, float]:
    """The steps of a ranking, in hybrids that are run over all prompts.

    Args:
        depth: Blocks of the model.
        method: As `rank_layers` takes it.
        proposals: Likewise.
        soups: Likewise.
        held_out: Likewise; 0 where there are no held-out prompts.
    """
    every = depth * (depth + 1) // 2
    measured = {"sweep": every, "guided": min(proposals, every)}.get(method, 1)
    return {
        "replies": _REPLIES,
        "ranges": measured * _SHARED + _REFERENCES + soups,
        "controls": float(_CONTROLS),
        "held-out prompts": float(held_out and held_out + _REFERENCES + _CONTROLS),
        "temperatures": float(_CURVES),
    }

"""What figures share: colours that colour-blind readers can tell apart."""

from __future__ import annotations

COLOURS = {
    "base": "#0072b2",
    "tuned": "#d55e00",
    "best": "#cc79a7",
    "soup": "#009e73",
    "full": "#56b4e9",
    "early": "#e69f00",
    "late": "#e69f00",
    "random": "#e69f00",
}
"""Okabe and Ito's palette, one colour a role in every figure."""
MAP = "viridis"


def short(name: str) -> str:
    """A name without a remark in brackets at its end."""
    return name.partition(" (")[0] or name

"""What is known of an embedded pair beforehand, beside what was found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slr_probe.layers import LayerRange
from slr_probe.organism import BAND, LOCAL

if TYPE_CHECKING:
    from slr_probe.study.folder import Findings

_MADE = (
    "This pair was made to show the tool: fine-tuning kept the answers diverse, and preference training of a few "
    "blocks took that away. For a pair as training usually leaves it, where a soup does better than any range, ask for "
    "slr-probe demo --tuned organism:dpo; docs/embedded.md shows both."
)


def truth(found: Findings) -> list[str]:
    """Where the collapse was put, beside the range that was found; empty for a pair of which nothing is known."""
    sources = {role: side["source"] for role, side in found.run["pair"].items()}
    if sources != {"base": "organism:base", "tuned": f"organism:{LOCAL}"} or found.ranking is None:
        return []
    band, chosen = LayerRange(*BAND), found.choice().layers
    if chosen is None:
        return [f"The collapse was put into blocks {band}; found: none.", _MADE]
    share = overlap(band, chosen)
    return [f"The collapse was put into blocks {band}; found: {chosen} (intersection over union {share:.2f}).", _MADE]


def overlap(one: LayerRange, other: LayerRange) -> float:
    """Blocks that two ranges share, as a share of those that either has.

    Examples:
        >>> overlap(LayerRange("4:7"), LayerRange("5:9"))
        0.4
    """
    shared = sum(block in other for block in one)
    return shared / (one.width + other.width - shared)

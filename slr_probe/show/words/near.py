"""What is said of ranges that are nearly equal to the best one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slr_probe.layers import LayerRange
from slr_probe.rank.compare import stability
from slr_probe.show.words.format import listed

if TYPE_CHECKING:
    from slr_probe.rank.findings.near import NearEqual
    from slr_probe.rank.ranking import RangeRanking

_NAMED = 4
"""So many ranges of a group are named."""


def blocks_of(layers: LayerRange) -> str:
    """A range in words.

    Examples:
        >>> blocks_of(LayerRange("8:14")), blocks_of(LayerRange("3:4"))
        ('blocks 8 to 13', 'block 3')
    """
    return f"block {layers.start}" if layers.width == 1 else f"blocks {layers.start} to {layers.stop - 1}"


def steadiness(ranking: RangeRanking, layers: LayerRange) -> str:
    """How firm the choice of a range is, and what is nearly equal to it; empty where it was not drawn again."""
    share = float(ranking.p_best[ranking.index(layers)])
    word = stability(share)
    if word == "unknown":
        return ""
    said = f"The choice is {word}: drawn again from the same prompts, this range is best in {share:.0%} of resamples."
    group = ranking.near_equal
    if group is None or group.layers == (layers,):
        return said
    return f"{said} {_group(group, layers)}"


def _group(group: NearEqual, layers: LayerRange) -> str:
    named = [f"{one} ({share:.0%})" for one, share in zip(group.layers[:_NAMED], group.shares, strict=False)]
    if len(group.layers) > _NAMED:
        named.append(f"{len(group.layers) - _NAMED} more")
    if len(group.layers) == 1:
        return f"The steadiest is {named[0]}."
    none = f" (in {group.none:.0%} none is allowed)" if group.none >= 0.005 else ""
    said = f"Nearly equal, best in {group.together:.0%} together{none}: {listed(named)}"
    said += f"; all restore {blocks_of(group.shared)}" if group.shared else "; no block is in all of them"
    steadiest = "it is" if group.steadiest == layers else f"{group.steadiest} is"
    return f"{said}; {steadiest} the steadiest."

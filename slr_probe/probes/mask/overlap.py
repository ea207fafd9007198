"""How far two masks agree, and what a mask says about what to freeze."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from slr_probe.errors import MaskError

if TYPE_CHECKING:
    from slr_probe.probes.mask.result import LayerMask


@dataclass(frozen=True)
class Overlap:
    """Agreement of the most important units of two masks.

    Chance is what random permutations of the units that changed would give; the number of common units is then
    hypergeometric, so no permutation is drawn.

    Attributes:
        rate: Share of the units that each mask has.
        count: Units of each of them (that changed).
        common: Units in both.
        jaccard: Common units over units in either.
        share: Common units over `count`.
        chance: Mean of `share` by chance.
        chance_jaccard: Mean of `jaccard` by chance.
        chance_high: `share` that chance exceeds in (1 - level) / 2 of all permutations.
        p_value: Probability of at least as many common units by chance.
        units: Units that changed, from which both are taken.
    """

    rate: float
    count: int
    common: int
    jaccard: float
    share: float
    chance: float
    chance_jaccard: float
    chance_high: float
    p_value: float
    units: int


def overlap(
    one: LayerMask, other: LayerMask, top: Bool[ndarray, " unit"], top_other: Bool[ndarray, " unit"], rate: float,
    level: float,
) -> Overlap:  # fmt: skip
    """Compare two sets of units; see `LayerMask.overlap`.

    Raises:
        MaskError: The masks have other units.
    """
    from scipy.stats import hypergeom

    if one.names != other.names or one.depth != other.depth:
        raise MaskError(
            f"masks of other units cannot be compared: {len(one.names)} ({one.granularity}) of {one.depth} blocks and "
            f"{len(other.names)} ({other.granularity}) of {other.depth}"
        )
    eligible = one.changed | other.changed
    a, b = top & eligible, top_other & eligible
    n, k, m = int(eligible.sum()), int(a.sum()), int(b.sum())
    common = int((a & b).sum())
    chance = hypergeom(n, k, m)
    possible = np.arange(max(0, k + m - n), min(k, m) + 1)
    weight = chance.pmf(possible)
    size = max(min(k, m), 1)
    return Overlap(
        rate=rate,
        count=k,
        common=common,
        jaccard=common / max(k + m - common, 1),
        share=common / size,
        chance=float(weight @ possible) / size,
        chance_jaccard=float(weight @ (possible / np.maximum(k + m - possible, 1))),
        chance_high=float(chance.ppf((1 + level) / 2)) / size,
        p_value=float(chance.sf(common - 1)),
        units=n,
    )


@dataclass(frozen=True)
class FreezeList:
    """The least important units in the words of PEFT and TRL.

    Attributes:
        parameters: Names of the parameters to freeze, as in `model.named_parameters()`.
        layers_to_transform: Blocks that keep at least one important unit, for `LoraConfig(layers_to_transform=...)`.
        target_modules: Linear modules that stay trainable, for `LoraConfig(target_modules=...)`; empty for masks of
            whole blocks, where `layers_to_transform` says it all.
    """

    parameters: tuple[str, ...]
    layers_to_transform: tuple[int, ...]
    target_modules: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {key: list(getattr(self, key)) for key in ("parameters", "layers_to_transform", "target_modules")}


def freeze_list(mask: LayerMask, share: float) -> FreezeList:
    """See `LayerMask.freeze_list`."""
    if isinstance(share, bool) or not 0 <= share < 1:
        raise MaskError(f"the share to freeze is at least 0 and below 1; got {share!r}")
    kept = mask.binary(1 - share)
    frozen = tuple(name for i in np.flatnonzero(~kept) for name in mask.parameters[i])
    blocks = tuple(sorted({int(block) for block in mask.block[kept]}))
    if mask.granularity == "block":
        return FreezeList(frozen, blocks, ())
    modules = dict.fromkeys(
        name.removesuffix(".weight")
        for i in np.flatnonzero(kept)
        for name in mask.parameters[i]
        if name.endswith(".weight")
    )
    return FreezeList(frozen, blocks, tuple(modules))

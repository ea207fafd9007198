"""`LayerMask`: how much of post-training's change each layer needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from slr_probe.block_weight import BASE, TUNED, BlockWeight
from slr_probe.defaults import LEVEL
from slr_probe.errors import MaskError
from slr_probe.probes.mask.overlap import Overlap, overlap
from slr_probe.recipe import Recipe
from slr_probe.result import Result, records

if TYPE_CHECKING:
    import pandas as pd


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

    def __repr__(self) -> str:
        modules = f", {len(self.target_modules)} target_modules" if self.target_modules else ""
        blocks = list(self.layers_to_transform)
        return f"<FreezeList: {len(self.parameters)} parameters to freeze{modules}, layers_to_transform={blocks}>"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {key: list(getattr(self, key)) for key in ("parameters", "layers_to_transform", "target_modules")}


@dataclass(frozen=True, eq=False, repr=False)
class LayerMask(Result):
    """Learned layer significance (ILA, arXiv 2410.17875): gamma near 1 where the change is needed, near 0 where not.

    A unit is a linear module of a decoder block, or a whole block.

    Attributes:
        block: Decoder block of each unit.
        component: `"q"`, `"down"`, ...; `"block"` for a whole one.
        values: Gamma of each seed and unit, 0 to 1. Units that are equal in base and tuned have 0: nothing is needed.
        changed: Units that differ between base and tuned.
        size: Weights of each unit.
        parameters: Names of the parameters of each unit, in the tuned model.
        loss: Loss of each seed and step on its batch (nats a token of the assistant), without the penalty on gamma.
        depth: Number of decoder blocks.
        granularity: `"matrix"` or `"block"`.
        seeds: Seeds.
        base_loss: Mean loss over conversations with base's blocks (gamma 0), nats a token.
        tuned_loss: The same of tuned (gamma 1).
        settings: How it was learned.
        notes: What a reader should know.
    """

    kind: ClassVar[str] = "slr_probe.mask/1"
    view: ClassVar[str] = "mask"

    block: Int[ndarray, " unit"]
    component: tuple[str, ...]
    values: Float[ndarray, "seed unit"]
    changed: Bool[ndarray, " unit"]
    size: Int[ndarray, " unit"]
    parameters: tuple[tuple[str, ...], ...]
    loss: Float[ndarray, "seed step"]
    depth: int
    granularity: str
    seeds: tuple[int, ...]
    base_loss: float
    tuned_loss: float
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @cached_property
    def gamma(self) -> Float[ndarray, " unit"]:
        """Mean gamma over seeds."""
        return np.asarray(self.values.mean(axis=0))

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each unit, such as `"3.q"`, or `"3"` for a whole block."""
        return tuple(
            str(block) if self.granularity == "block" else f"{block}.{component}"
            for block, component in zip(self.block.tolist(), self.component, strict=True)
        )

    @cached_property
    def order(self) -> Int[ndarray, " unit"]:
        """Units from most to least important; ties (unchanged units) go to the first in the model."""
        return np.argsort(-self.gamma, kind="stable")

    def blocks(self) -> Float[ndarray, " block"]:
        """Gamma of each block: the mean over its units, weighted by their numbers of weights (our choice)."""
        total = np.bincount(self.block, weights=self.gamma * self.size, minlength=self.depth)
        return np.asarray(total / np.maximum(np.bincount(self.block, weights=self.size, minlength=self.depth), 1))

    def binary(self, rate: float, seed: int | None = None) -> Bool[ndarray, " unit"]:
        """The most important units: a share `rate` of all, rounded, at least one.

        Args:
            rate: Share of the units, above 0 and up to 1.
            seed: Of this seed alone; default: of the mean over seeds.

        Raises:
            MaskError: The rate is not in (0, 1], or there is no such seed.
        """
        if isinstance(rate, bool) or not 0 < rate <= 1:
            raise MaskError(f"a rate is a share of the units above 0 and up to 1; got {rate!r}")
        order = self.order if seed is None else np.argsort(-self.values[self._seed(seed)], kind="stable")
        top = np.zeros(len(order), dtype=bool)
        top[order[: max(1, round(rate * len(order)))]] = True
        return top

    def recipe(self, keep: float = 0.75, name: str = "") -> Recipe:
        """Keep the most important share of the units tuned and set the others back to base.

        Norm gains and other tensors that are no unit stay tuned, except in blocks that lose every unit.

        Args:
            keep: Share of the units that stay tuned, 0 to 1.
            name: Label of the recipe.

        Raises:
            MaskError: `keep` is not in [0, 1].
        """
        if isinstance(keep, bool) or not 0 <= keep <= 1:
            raise MaskError(f"keep is the share of the units that stay tuned, 0 to 1; got {keep!r}")
        return self.to_recipe(self.binary(keep) if keep else np.zeros(len(self.block), dtype=bool), name)

    def to_recipe(self, kept: Bool[ndarray, " unit"], name: str = "") -> Recipe:
        """Any set of units tuned, the others base; see `recipe`."""
        blocks = []
        for block in range(self.depth):
            inside = np.flatnonzero(self.block == block)
            dropped = [self.component[i] for i in inside if not kept[i]]
            if dropped and len(dropped) == len(inside):
                blocks.append(BASE)
            else:
                blocks.append(BlockWeight(1.0, tuple((c, 0.0) for c in dropped)) if dropped else TUNED)
        return Recipe(tuple(blocks), name=name)

    def freeze_list(self, share: float = 0.25) -> FreezeList:
        """What to leave out of fine-tuning: the least important share of the units (ILA: about a quarter helps).

        Raises:
            MaskError: `share` is not in [0, 1).
        """
        if isinstance(share, bool) or not 0 <= share < 1:
            raise MaskError(f"the share to freeze is at least 0 and below 1; got {share!r}")
        kept = self.binary(1 - share)
        frozen = tuple(name for i in np.flatnonzero(~kept) for name in self.parameters[i])
        blocks = tuple(sorted({int(block) for block in self.block[kept]}))
        if self.granularity == "block":
            return FreezeList(frozen, blocks, ())
        trainable = [name for i in np.flatnonzero(kept) for name in self.parameters[i]]
        modules = dict.fromkeys(name.removesuffix(".weight") for name in trainable if name.endswith(".weight"))
        return FreezeList(frozen, blocks, tuple(modules))

    def overlap(self, other: LayerMask, rate: float = 0.75, *, level: float = LEVEL) -> Overlap:
        """How far the most important units of two masks are the same, beside what chance would give.

        Raises:
            MaskError: The masks have other units, or the rate is not in (0, 1].
        """
        if self.names != other.names or self.depth != other.depth:
            raise MaskError(
                f"masks of other units cannot be compared: {len(self.names)} ({self.granularity}) of {self.depth} "
                f"blocks and {len(other.names)} ({other.granularity}) of {other.depth}"
            )
        return overlap(self.binary(rate), other.binary(rate), self.changed | other.changed, rate, level)

    def stability(self, rate: float = 0.75) -> Float[ndarray, " pair"]:
        """Jaccard index of the binary masks of each two seeds; empty for one seed."""
        masks = [self.binary(rate, seed) for seed in self.seeds]
        pairs = combinations(masks, 2)
        return np.array([(one & other).sum() / (one | other).sum() for one, other in pairs], dtype=float)

    def _seed(self, seed: int) -> int:
        if seed not in self.seeds:
            raise MaskError(f"this mask was not learned with seed {seed}; it has {', '.join(map(str, self.seeds))}")
        return self.seeds.index(seed)

    def to_dataframe(self) -> pd.DataFrame:
        """One row a unit in the order of the model; `rank` 1 is the most important, `spread` the range over seeds."""
        import pandas as pd

        rank = np.empty(len(self.order), dtype=int)
        rank[self.order] = np.arange(1, len(self.order) + 1)
        columns = {
            "unit": self.names,
            "block": self.block,
            "component": self.component,
            "gamma": self.gamma,
            "rank": rank,
            "low": self.values.min(axis=0),
            "high": self.values.max(axis=0),
            "changed": self.changed,
            "weights": self.size,
        }
        return pd.DataFrame(columns)

    def rows(self) -> list[dict[str, Any]]:
        """Plain data for JSON: a row a unit, with the gamma of each seed and its parameters."""
        rows = records(self.to_dataframe())
        for row, values, parameters in zip(rows, self.values.T.tolist(), self.parameters, strict=True):
            row |= {"values": values, "parameters": parameters}
        return rows

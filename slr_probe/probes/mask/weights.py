"""Which tensors of the decoder blocks a mask weighs, and where their base values are read."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.checkpoint import AdapterCheckpoint
from slr_probe.checkpoint.adapter import LowRank
from slr_probe.checkpoint.names import Address
from slr_probe.errors import MaskError
from slr_probe.pair.load import require_finite
from slr_probe.pair.side import Side, require_checkpoint

if TYPE_CHECKING:
    import torch

    from slr_probe.pair import ModelPair

Granularity = Literal["matrix", "block"]
WHOLE = "block"
"""Component of a unit that is a whole block."""


@dataclass(frozen=True)
class Unit:
    """What one gamma scales: a linear module of a block (its bias included), or a whole block.

    Attributes:
        block: Number of the decoder block.
        component: Component as recipes name it (`"q"`, `"down"`, ...), or `"block"`.
    """

    block: int
    component: str


@dataclass(frozen=True)
class Weight:
    """One tensor of a decoder block that differs between base and tuned.

    Attributes:
        name: Its name in the tuned model.
        address: Its place.
        tuned: The tuned model's own tensor.
        base: Reads the base tensor, in the tuned one's dtype and on its device; nothing is kept.
        low_rank: Its delta in factors, where tuned is a LoRA adapter.
    """

    name: str
    address: Address
    tuned: torch.Tensor
    base: Callable[[], torch.Tensor]
    low_rank: LowRank | None = None


@dataclass(frozen=True)
class MaskWeights:
    """All tensors of the blocks and how they follow the units.

    Attributes:
        units: The units, by block and then in the order of the model.
        changed: Those tensors that differ; no other is touched.
        follows: Share of the delta of each changed tensor as a mean of gammas: rows sum to 1.
        parameters: Names of the parameters of each unit, in the tuned model.
        sizes: Number of weights of each unit.
    """

    units: tuple[Unit, ...]
    changed: tuple[Weight, ...]
    follows: Float[ndarray, "tensor unit"]
    parameters: tuple[tuple[str, ...], ...]
    sizes: ndarray

    @property
    def moved(self) -> ndarray:
        """Whether the gamma of each unit has any effect."""
        return np.asarray((self.follows > 0).any(axis=0))


def read_weights(pair: ModelPair, granularity: Granularity, stream: bool | None = None) -> MaskWeights:
    """Find the units of the tuned model and compare every tensor of its blocks with base.

    At granularity `"matrix"` a unit is a linear module: the tensors of one component with two or more axes (stacked
    experts are one), with the bias of the same name. What is left of a block (norm gains and the like) follows the
    mean gamma of the block's units that changed, so that gamma = 0 everywhere is base in the blocks; our choice.

    Args:
        pair: The pair; its tuned model is loaded.
        granularity: `"matrix"` or `"block"`.
        stream: Read base tensors from its folder each time (True), or hold the base model (False). None reads from the
            folder unless the base model is loaded anyway or its folder names tensors in another way.

    Raises:
        MaskError: An unknown granularity, weights that are not floating (quantised), or no difference in the blocks.
        CheckpointError: A weight of base is NaN or infinite.
    """
    if granularity not in get_args(Granularity):
        raise MaskError(f"unknown granularity {granularity!r}; expected 'matrix' or 'block'")
    state = pair.tuned.state_dict(keep_vars=True)
    side = Side("tuned", "model", model=pair.tuned)
    inside = {name: a for name, a in side.addresses.items() if a.block is not None}
    for name in inside:
        if not state[name].is_floating_point():
            raise MaskError(f"'{name}' is {state[name].dtype}: quantised weights cannot be scaled; load full precision")
    units = _units(inside, side.shapes, granularity)
    number = {unit: i for i, unit in enumerate(units)}
    read, low_rank = _base_reader(pair, inside, side, stream)
    changed: list[Weight] = []
    owners: list[int | None] = []
    parameters: list[list[str]] = [[] for _ in units]
    sizes = np.zeros(len(units), dtype=np.int64)
    for name, address in inside.items():
        own = number.get(Unit(address.block or 0, WHOLE if granularity == "block" else address.component))
        if own is not None:
            parameters[own].append(name)
            sizes[own] += math.prod(side.shapes[name])
        weight = Weight(name, address, state[name], _like(read, name, state[name]), low_rank.get(name))
        if _differs(weight, pair.base_side):
            changed.append(weight)
            owners.append(own)
    if not changed:
        raise MaskError(f"base ({pair.base_side}) and tuned ({pair.tuned_side}) do not differ in any decoder block")
    follows = _follows(units, [weight.address.block or 0 for weight in changed], owners)
    return MaskWeights(units, tuple(changed), follows, tuple(map(tuple, parameters)), sizes)


def _units(inside: dict[str, Address], shapes: dict[str, tuple[int, ...]], granularity: str) -> tuple[Unit, ...]:
    units: dict[Unit, None] = {}
    for name, address in inside.items():
        assert address.block is not None
        if granularity == "block":
            units[Unit(address.block, WHOLE)] = None
        elif len(shapes[name]) > 1 and address.group != "norm":
            units[Unit(address.block, address.component)] = None
    return tuple(sorted(units, key=lambda unit: unit.block))


def _follows(units: tuple[Unit, ...], blocks: list[int], owners: list[int | None]) -> Float[ndarray, "tensor unit"]:
    """A tensor follows its unit; one that is in none follows the mean of its block's units that changed, or of all."""
    follows = np.zeros((len(blocks), len(units)))
    for row, block, own in zip(follows, blocks, owners, strict=True):
        inside = [i for i, unit in enumerate(units) if unit.block == block]
        members = [own] if own is not None else [i for i in inside if i in owners] or inside
        row[members] = 1 / len(members)
    return follows


def _differs(weight: Weight, side: Side) -> bool:
    import torch

    if weight.low_rank is not None:
        return all(bool(factor.any()) for factor in weight.low_rank.factors())
    base = weight.base()
    if base.shape != weight.tuned.shape:
        raise MaskError(f"'{weight.name}' is {list(base.shape)} in base and {list(weight.tuned.shape)} in tuned")
    require_finite(base, side, weight.name)
    return not torch.equal(base, weight.tuned.detach())


def _like(read: Callable[[str], torch.Tensor], name: str, tuned: torch.Tensor) -> Callable[[], torch.Tensor]:
    return lambda: read(name).to(device=tuned.device, dtype=tuned.dtype)


def _base_reader(
    pair: ModelPair, inside: dict[str, Address], tuned: Side, stream: bool | None
) -> tuple[Callable[[str], torch.Tensor], dict[str, LowRank]]:
    """A reader of base tensors by the tuned model's names, and low-rank deltas by those names."""
    disk = pair.base_side
    same = disk.checkpoint is not None and all(
        disk.shapes.get(disk.names.get(address.key, "")) == tuned.shapes[name] for name, address in inside.items()
    )
    if stream and not same:
        raise MaskError(
            f"base ({disk}) cannot be streamed: it is a loaded model, or transformers converts its tensors while "
            "loading; use stream=False"
        )
    loaded = "base" in vars(pair) or disk.model is not None
    if stream or (stream is None and same and not loaded):
        low = pair.tuned_side.checkpoint.low_rank if isinstance(pair.tuned_side.checkpoint, AdapterCheckpoint) else {}
        checkpoint = require_checkpoint(disk)
        names = {name: disk.names[address.key] for name, address in inside.items()}
        return lambda name: checkpoint.read(names[name]), {n: low[b] for n, b in names.items() if b in low}
    side = Side("base", "model", model=pair.base)
    state = pair.base.state_dict()
    missing = [name for name, address in inside.items() if address.key not in side.names]
    if missing:
        raise MaskError(f"base has no tensor '{missing[0]}', which tuned has")
    low = pair.tuned_side.checkpoint.low_rank if isinstance(pair.tuned_side.checkpoint, AdapterCheckpoint) else {}
    low_names = {name: disk.names.get(address.key) for name, address in inside.items()} if low else {}
    factors = {name: low[base] for name, base in low_names.items() if base is not None and base in low}
    return lambda name: state[side.names[inside[name].key]], factors

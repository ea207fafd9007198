"""Where a sweep gets weights from: loaded models or checkpoint folders, one block of both sides at a time."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from slr_probe.checkpoint.names import Decoder, Role, find_decoder
from slr_probe.errors import SweepError
from slr_probe.forward.budget import in_dtype
from slr_probe.forward.surgery import empty_model
from slr_probe.pair.several import is_spread
from slr_probe.pair.side import Side
from slr_probe.restoration.plan import grid, mix, plan_hybrid
from slr_probe.sweep.prefixes.trie import BlockPath
from slr_probe.sweep.sources import OtherNames, Source, converted_source, loaded_source, stored_dtype, stored_source

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from slr_probe.pair import ModelPair
    from slr_probe.recipe import BlockWeight, Recipe

Tensors = dict[str, torch.Tensor]
TunedShares = tuple[tuple[str, float], ...]
"""Tensors that are not tuned's, by their name in the model, with their share of tuned; `()` is tuned itself."""
OUTSIDE: tuple[Role, ...] = ("embedding", "final_norm", "head")
_MIXED_AT_ONCE = 1 << 16  # elements


def resident(pair: ModelPair, dtype: torch.dtype | None = None) -> Weights:
    """Weights of the loaded models; nothing is copied unless `dtype` differs from theirs.

    Raises:
        SweepError: The two models lie on different devices, or on several, or in different dtypes.
    """
    base, tuned = ((model.dtype, model.device) for model in (pair.base, pair.tuned))
    if base != tuned:
        raise SweepError(f"base is {base} and tuned {tuned}; load the pair with one dtype= and device=")
    if is_spread(pair.tuned):
        raise SweepError(
            "the models are spread over several devices, and a sweep of loaded models runs on one; give stream=True "
            "(--stream), which holds a block at a time, or a device that holds both"
        )
    return Weights(pair.tuned, loaded_source(pair), None if dtype == pair.tuned.dtype else dtype, pair.tuned.device)


def streamed(pair: ModelPair, dtype: torch.dtype | None = None) -> Weights:
    """Weights read from the two checkpoint folders when they are needed; no model is loaded.

    Raises:
        SlrProbeError: A side is not a checkpoint folder.
        SweepError: The model's tensors are neither in the folder nor made of those that are.
    """
    stored = stored_dtype(pair)
    model = empty_model(pair.config, stored, pair.device, trust_remote_code=pair.tuned_side.trust_remote_code)
    try:
        return Weights(model, stored_source(pair), dtype or stored, pair.device)
    except OtherNames:
        return Weights(model, converted_source(pair), dtype or stored, pair.device)


@dataclass(frozen=True)
class TensorPair:
    """One tensor that the model computes with.

    Attributes:
        name: Its name in the model.
        suffix: Its name inside its block; for tensors outside the blocks, `name`.
        group: Group and `component`, as recipes name them.
        component: See `group`.
        tuned: Its name in the tuned side.
        base: Its name in the base side; None where base has none.
    """

    name: str
    suffix: str
    group: str
    component: str
    tuned: str
    base: str | None


class Weights:
    """Both sides of a pair as the model sees them, one part at a time.

    Args:
        model: The model whose modules compute; its parameters may be on the meta device.
        source: Both sides.
        dtype: Dtype to compute in; None for the tensors' own.
        device: Device to compute on.

    Raises:
        OtherNames: The model computes with a tensor that the tuned side does not have under that name.
    """

    def __init__(self, model: PreTrainedModel, source: Source, dtype: torch.dtype | None, device: torch.device) -> None:
        self.model, self.dtype, self.device = model, dtype, device
        self.base, self.tuned = source.base, source.tuned
        self.source = source
        self._equal: dict[str, bool] = {}
        self.blocks: list[list[TensorPair]] = [[] for _ in range(source.tuned.depth)]
        self.outside: dict[Role, list[TensorPair]] = {role: [] for role in OUTSIDE}
        self._sort_parts()

    @cached_property
    def decoder(self) -> Decoder:
        """The parts of the model, as modules."""
        return find_decoder(self.model)

    def _sort_parts(self) -> None:
        state = self.model.state_dict(keep_vars=True)
        addresses = Side("tuned", "model", model=self.model).addresses
        twins: dict[int, list[str]] = {}
        for name, tensor in state.items():
            twins.setdefault(id(tensor), []).append(name)
        for name, address in addresses.items():
            if address.role == "other":
                continue
            keys = [addresses[twin].key for twin in (name, *twins[id(state[name])])]  # a tied head is stored once
            key = next((key for key in keys if key in self.tuned.names), None)
            if key is None:
                raise OtherNames(
                    f"{self.tuned} has no tensor '{name}', which {type(self.model).__name__} computes with"
                )
            owners = self.outside[address.role] if address.block is None else self.blocks[address.block]
            suffix = name if address.block is None else address.suffix
            in_base = next((twin for twin in (key, *keys) if twin in self.base.names), None)  # tuned may store both
            twins_of = self.tuned.names[key], None if in_base is None else self.base.names[in_base]
            owners.append(TensorPair(name, suffix, address.group, address.component, *twins_of))

    def paths(self, recipes: Iterable[Recipe]) -> list[BlockPath]:
        """What every recipe asks for, part by part; tensors that base and tuned share make no difference.

        Raises:
            RecipeError: A recipe does not fit the pair.
        """
        checked: set[object] = set()
        known: dict[tuple[int, BlockWeight], TunedShares] = {}
        paths = []
        for recipe in recipes:
            kind = (recipe.depth, frozenset(recipe.blocks), recipe.embedding, recipe.final_norm, recipe.head)
            if kind not in checked:
                plan_hybrid(self.base, self.tuned, recipe)
                checked.add(kind)
            for key in enumerate(recipe.blocks):
                if key not in known:
                    known[key] = self._block_shares(*key)
            blocks = tuple(known[key] for key in enumerate(recipe.blocks))
            embedding, norm, head = (self._outside_shares(role, getattr(recipe, role)) for role in OUTSIDE)
            # Embedding modules may act after the blocks as well (OPT projects out), so the leaf names them too.
            paths.append(BlockPath(embedding, blocks, embedding + norm + head))
        return paths

    def _block_shares(self, block: int, weight: BlockWeight) -> TunedShares:
        return self._shares((part, weight.share(part.group, part.component)) for part in self.blocks[block])

    def _outside_shares(self, role: Role, share: float) -> TunedShares:
        return self._shares((part, share) for part in self.outside[role])

    def _shares(self, shares: Iterable[tuple[TensorPair, float]]) -> TunedShares:
        rounded = ((part, grid(share)) for part, share in shares)
        return tuple((part.suffix, share) for part, share in rounded if share != 1.0 and not self._is_same(part))

    def _is_same(self, part: TensorPair) -> bool:
        if part.name not in self._equal:
            self._equal[part.name] = part.base is not None and self.source.same(part.base, part.tuned)
        return self._equal[part.name]

    def read(self, side: Side, name: str) -> torch.Tensor:
        """A tensor of a side by its name there, on the device to compute on."""
        return self.source.read(side, name).to(self.device)

    def open_block(self, block: int) -> OpenTensors:
        """One block of both sides; tensors are read when first needed and dropped with the returned object."""
        return OpenTensors(self, self.blocks[block])

    def open_outside(self, roles: Iterable[Role], *, tables: bool = True) -> OpenTensors:
        """The same of everything outside the blocks; without `tables`, embedding tables stand in as zeros."""
        parts = [part for role in roles for part in self.outside[role]]
        owners = dict(self.model.named_modules())
        unused = [p.name for p in parts if isinstance(owners[p.name.rpartition(".")[0]], nn.Embedding)]
        return OpenTensors(self, parts, frozenset() if tables else frozenset(unused))


class OpenTensors:
    """Some parts of both sides, and whatever is mixed of them."""

    def __init__(self, weights: Weights, parts: list[TensorPair], unused: frozenset[str] = frozenset()) -> None:
        self._weights, self._parts, self._unused = weights, parts, unused
        self._kept: dict[tuple[str, str], torch.Tensor] = {}

    def tensors(self, shares: Hashable) -> Tensors:
        """Tensors by suffix, for some shares, in the dtype to compute in."""
        share_of = dict(cast("TunedShares", shares))
        return {part.suffix: self._tensor(part, share_of.get(part.suffix, 1.0)) for part in self._parts}

    def fetch(self, variants: Iterable[Hashable]) -> OpenTensors:
        """Read whatever of both sides these shares are made of; gives itself."""
        for shares in variants:
            share_of = dict(cast("TunedShares", shares))
            for part in self._parts:
                share = share_of.get(part.suffix, 1.0)
                if share in (0.0, 1.0):
                    self._tensor(part, share)
        return self

    def _tensor(self, part: TensorPair, share: float) -> torch.Tensor:
        weights = self._weights
        if part.name in self._unused:
            shape = weights.tuned.shapes[part.tuned]
            dtype = weights.dtype or weights.model.dtype
            return torch.zeros((), dtype=dtype, device=weights.device).expand(shape)
        if share == 1.0:
            return self._side(weights.tuned, part.tuned)
        assert part.base is not None
        if share == 0.0:
            return self._side(weights.base, part.base)
        base, tuned = weights.read(weights.base, part.base), weights.read(weights.tuned, part.tuned)
        return in_dtype(_mixed(base, tuned, share), weights.dtype)

    def _side(self, side: Side, name: str) -> torch.Tensor:
        key = (side.role, name)
        if key not in self._kept:
            self._kept[key] = in_dtype(self._weights.read(side, name), self._weights.dtype)
        return self._kept[key]


def _mixed(base: torch.Tensor, tuned: torch.Tensor, share: float) -> torch.Tensor:
    """`mix`, piece by piece: its wide intermediates then stay in a processor's cache."""
    if tuned.ndim == 0 or tuned.numel() <= _MIXED_AT_ONCE or base.shape != tuned.shape:
        return mix(base, tuned, share)
    out = torch.empty_like(tuned)
    rows = max(1, _MIXED_AT_ONCE // (tuned.numel() // len(tuned)))
    for start in range(0, len(tuned), rows):
        piece = slice(start, start + rows)
        out[piece] = mix(base[piece], tuned[piece], share)
    return out

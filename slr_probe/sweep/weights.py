"""Where a sweep gets weights from: any reader of both sides, one block at a time."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from slr_probe.checkpoint.names import Decoder, Role, find_decoder
from slr_probe.errors import SweepError
from slr_probe.forward.budget import in_dtype
from slr_probe.pair.side import Side
from slr_probe.restoration.plan import grid, mix, plan_hybrid
from slr_probe.sweep.trie import Path

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from slr_probe.recipe import BlockWeight, Recipe

Shares = tuple[tuple[str, float], ...]
"""Tensors that are not tuned's, by their name in the model, with their share of tuned; `()` is tuned itself."""
_PIECE = 1 << 16
Tensors = dict[str, torch.Tensor]
OUTSIDE: tuple[Role, ...] = ("embedding", "final_norm", "head")


@dataclass(frozen=True)
class Part:
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
        base: Base side.
        tuned: Tuned side.
        read: Reads a tensor of a side by its name there.
        same: Whether two tensors are known to be equal, given the names in base and tuned; may always say no.
        dtype: Dtype to compute in; None for the tensors' own.
        device: Device to compute on.

    Raises:
        SweepError: The model computes with a tensor that the tuned side does not have under that name.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        base: Side,
        tuned: Side,
        read: Callable[[Side, str], torch.Tensor],
        same: Callable[[str, str], bool],
        dtype: torch.dtype | None,
        device: torch.device,
    ) -> None:
        self.model, self.base, self.tuned, self.dtype, self.device = model, base, tuned, dtype, device
        self._read, self._same = read, same
        self._equal: dict[str, bool] = {}
        self.blocks: list[list[Part]] = [[] for _ in range(tuned.depth)]
        self.outside: dict[Role, list[Part]] = {role: [] for role in OUTSIDE}
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
                raise SweepError(
                    f"{self.tuned} has no tensor '{name}', which {type(self.model).__name__} computes "
                    "with; transformers converts this checkpoint while loading it, so it cannot be streamed: use "
                    "stream=False"
                )
            inside = address.role == "block"
            part = Part(name, address.suffix if inside else name, address.group, address.component,
                        self.tuned.names[key], self.base.names.get(key))  # fmt: skip
            (self.blocks[address.block or 0] if inside else self.outside[address.role]).append(part)

    # -- recipes -------------------------------------------------------------------------------------------------

    def paths(self, recipes: Iterable[Recipe]) -> list[Path]:
        """What every recipe asks for, part by part; tensors that base and tuned share make no difference.

        Raises:
            RecipeError: A recipe does not fit the pair.
        """
        checked: set[object] = set()
        inside: dict[tuple[int, BlockWeight], Shares] = {}
        paths = []
        for recipe in recipes:
            kind = (recipe.depth, frozenset(recipe.blocks), recipe.embedding, recipe.final_norm, recipe.head)
            if kind not in checked:
                plan_hybrid(self.base, self.tuned, recipe)
                checked.add(kind)
            for key in enumerate(recipe.blocks):
                if key not in inside:
                    block, weight = key
                    inside[key] = self._shares((p, weight.share(p.group, p.component)) for p in self.blocks[block])
            outside = {r: self._shares((p, getattr(recipe, r)) for p in self.outside[r]) for r in OUTSIDE}
            # Embedding modules may act after the blocks as well (OPT projects out), so the leaf names them too.
            paths.append(
                Path(
                    outside["embedding"],
                    tuple(inside[key] for key in enumerate(recipe.blocks)),
                    outside["embedding"] + outside["final_norm"] + outside["head"],
                )
            )
        return paths

    def _shares(self, shares: Iterable[tuple[Part, float]]) -> Shares:
        rounded = ((part, grid(share)) for part, share in shares)
        return tuple((part.suffix, share) for part, share in rounded if share != 1.0 and not self._is_same(part))

    def _is_same(self, part: Part) -> bool:
        if part.name not in self._equal:
            self._equal[part.name] = part.base is not None and self._same(part.base, part.tuned)
        return self._equal[part.name]

    # -- tensors -------------------------------------------------------------------------------------------------

    def open_block(self, block: int) -> Opened:
        """One block of both sides; tensors are read when first needed and dropped with the returned object."""
        return Opened(self, self.blocks[block])

    def open_outside(self, roles: Iterable[Role], *, tables: bool = True) -> Opened:
        """The same of everything outside the blocks; without `tables`, embedding tables stand in as zeros."""
        parts = [part for role in roles for part in self.outside[role]]
        owners = dict(self.model.named_modules())
        idle = [p.name for p in parts if isinstance(owners[p.name.rpartition(".")[0]], nn.Embedding)]
        return Opened(self, parts, frozenset() if tables else frozenset(idle))


class Opened:
    """Some parts of both sides, and whatever is mixed of them."""

    def __init__(self, weights: Weights, parts: list[Part], idle: frozenset[str] = frozenset()) -> None:
        self._weights, self._parts, self._idle = weights, parts, idle
        self._kept: dict[tuple[str, str], torch.Tensor] = {}

    def tensors(self, shares: Hashable) -> Tensors:
        """Tensors by suffix, for some shares, in the dtype to compute in."""
        wanted = dict(cast("Shares", shares))
        return {part.suffix: self._tensor(part, wanted.get(part.suffix, 1.0)) for part in self._parts}

    def _tensor(self, part: Part, share: float) -> torch.Tensor:
        weights = self._weights
        if part.name in self._idle:
            shape = weights.tuned.shapes[part.tuned]
            dtype = weights.dtype or weights.model.dtype
            return torch.zeros((), dtype=dtype, device=weights.device).expand(shape)
        if share == 1.0:
            return self._side(weights.tuned, part.tuned)
        assert part.base is not None
        if share == 0.0:
            return self._side(weights.base, part.base)
        base, tuned = weights._read(weights.base, part.base), weights._read(weights.tuned, part.tuned)
        return in_dtype(_mixed(base, tuned, share), weights.dtype)

    def _side(self, side: Side, name: str) -> torch.Tensor:
        key = (side.role, name)
        if key not in self._kept:
            self._kept[key] = in_dtype(self._weights._read(side, name), self._weights.dtype)
        return self._kept[key]


def _mixed(base: torch.Tensor, tuned: torch.Tensor, share: float) -> torch.Tensor:
    """`mix`, piece by piece: its wide intermediates then stay in a processor's cache."""
    if tuned.ndim == 0 or tuned.numel() <= _PIECE or base.shape != tuned.shape:
        return mix(base, tuned, share)
    out = torch.empty_like(tuned)
    rows = max(1, _PIECE // (tuned.numel() // len(tuned)))
    for start in range(0, len(tuned), rows):
        piece = slice(start, start + rows)
        out[piece] = mix(base[piece], tuned[piece], share)
    return out

"""Which weights change from one hybrid to the next, how they are read, and an order in which they are few."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slr_probe.checkpoint import open_checkpoint
from slr_probe.checkpoint.names import Address
from slr_probe.pair.side import Side, require_checkpoint
from slr_probe.recipe import Recipe
from slr_probe.restoration.plan import Step, plan_hybrid
from slr_probe.restoration.stream import hybrid_tensor

if TYPE_CHECKING:
    import torch

Plan = Mapping[str, Step]
Unit = tuple[str, int, str]
"""Tensors that an engine may hold as one, such as queries, keys and values: role, block and group of the block."""


def unit_of(address: Address) -> Unit:
    """The unit that a tensor belongs to; one outside the blocks is a unit by itself, or with its like."""
    outside = address.suffix if address.role == "other" else address.role
    return (address.role, address.block, address.group) if address.block is not None else (outside, -1, "")


def changed(before: Plan | None, after: Plan, tuned: Side) -> list[str]:
    """Tensors to load for a model to become another one: whole units, one after the other.

    Args:
        before: Where the tensors that the engine holds come from; None where that is not known.
        after: Where they are to come from.
        tuned: Tuned side, which names them.
    """
    unit = {name: unit_of(address) for name, address in tuned.addresses.items()}
    new = {unit[name] for name, step in after.items() if before is None or before[name] != step}
    places = {name: place for place, name in enumerate(after)}
    return sorted((name for name in after if unit[name] in new), key=lambda name: (unit[name], places[name]))


def in_short_steps(plans: Sequence[Plan], held: Plan | None, tuned: Side) -> list[int]:
    """An order of models, each the one nearest to the model before it by the bytes that are loaded (ours, greedy).

    Args:
        plans: Where the tensors of each model come from.
        held: The same of the model that the engine holds; None where that is not known.
        tuned: Tuned side.
    """
    infos, units = require_checkpoint(tuned).tensors, defaultdict(list)
    for name, address in tuned.addresses.items():
        units[unit_of(address)].append(name)
    sizes = [sum(infos[name].nbytes for name in names) for names in units.values()]

    def sources(plan: Plan | None) -> list[Any]:
        return [plan and [plan[name] for name in names] for names in units.values()]

    def steps(before: list[Any], after: list[Any]) -> int:
        return sum(size for size, one, other in zip(sizes, before, after, strict=True) if one != other)

    left, at, order = {number: sources(plan) for number, plan in enumerate(plans)}, sources(held), []
    while left:
        nearest = min(left, key=lambda number: steps(at, left[number]))
        at = left.pop(nearest)
        order.append(nearest)
    return order


def read_hybrid(
    base: str, tuned: str, recipe: Mapping[str, Any], names: Sequence[str]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Tensors of a hybrid as `restore` would write them, read and mixed one at a time.

    Args:
        base: Folder of base.
        tuned: Folder of tuned, or of an adapter over base.
        recipe: The recipe as plain data.
        names: Which tensors.

    Raises:
        CheckpointError: A checkpoint that is damaged, or has NaN or infinite weights.
        RecipeError: A tensor cannot be interpolated.
    """
    stored = open_checkpoint(Path(base))
    sides = (
        Side("base", base, Path(base), stored),
        Side("tuned", tuned, Path(tuned), open_checkpoint(Path(tuned), stored)),
    )
    plan, infos = plan_hybrid(*sides, Recipe.from_dict(recipe)), require_checkpoint(sides[1]).tensors
    for name in names:
        yield name, hybrid_tensor(plan[name], infos[name], *sides)

"""`BlockWeight`: where the weights of one decoder block come from; and what a list of them is called."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from numbers import Real
from typing import Any

from slr_probe.errors import RecipeError
from slr_probe.layers import LayerRange

GROUPS = ("attention", "mlp", "norm", "other")
"""Every tensor of a block belongs to exactly one of these; a recipe may treat them differently."""


def check_share(value: object, what: str) -> float:
    """Return a share of the tuned weights as a float.

    Raises:
        RecipeError: It is not a finite number.
    """
    try:
        finite = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        finite = False
    if not finite:
        raise RecipeError(f"the tuned share of {what} must be a finite number (0 base, 1 tuned); got {value!r}")
    return float(value) + 0.0  # type: ignore[arg-type]  # -0.0 and 0.0 are one share


@dataclass(frozen=True)
class BlockWeight:
    """Share of the tuned weights in one decoder block: 0 is base, 1 is tuned, between is interpolation.

    Attributes:
        default: Share for every tensor of the block that no override names.
        overrides: `(name, share)` pairs in sorted order; a name is a component (`"q"`, `"down"`, ...) or a group
            of `GROUPS`. A component beats its group, a group beats the default. Entries that change nothing
            are dropped, so equal blocks compare equal and hash alike.
    """

    default: float = 1.0
    overrides: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        shares = {str(name): check_share(share, f"override {name!r}") for name, share in self.overrides}
        default = check_share(self.default, "default")
        # Which group a component belongs to is layout knowledge, so a component override is dropped
        # only where no group override could stand between it and the default.
        any_group = any(name in GROUPS and share != default for name, share in shares.items())
        kept = {n: s for n, s in shares.items() if s != default or (n not in GROUPS and any_group)}
        object.__setattr__(self, "default", default)
        object.__setattr__(self, "overrides", tuple(sorted(kept.items())))

    def share(self, group: str, component: str) -> float:
        """Share of the tuned weights for a tensor of this `group` and `component`."""
        named = dict(self.overrides)
        return named.get(component, named.get(group, self.default))

    @property
    def is_tuned(self) -> bool:
        """Whether the whole block is the tuned one."""
        return self.default == 1.0 and not self.overrides

    @property
    def is_base(self) -> bool:
        """Whether the whole block is the base one."""
        return self.default == 0.0 and not self.overrides

    def __str__(self) -> str:
        words = {0.0: "base", 1.0: "tuned"}
        text = words.get(self.default, f"{self.default:g} tuned")
        return ", ".join([text, *(f"{name} {words.get(s, f'{s:g} tuned')}" for name, s in self.overrides)])


TUNED = BlockWeight(1.0)
BASE = BlockWeight(0.0)


def to_runs(blocks: Sequence[BlockWeight]) -> list[dict[str, Any]]:
    """Blocks as plain data; runs of equal ones are written once."""
    runs, start = [], 0
    for block, members in groupby(blocks):
        stop = start + len(list(members))
        overrides = {"overrides": dict(block.overrides)} if block.overrides else {}
        runs.append({"blocks": f"{start}:{stop}", "tuned_share": block.default, **overrides})
        start = stop
    return runs


def from_runs(runs: Iterable[Mapping[str, Any]], depth: int) -> list[BlockWeight]:
    """Rebuild blocks from `to_runs`.

    Raises:
        RecipeError: The runs do not follow each other.
    """
    blocks: list[BlockWeight] = []
    for run in runs:
        span = LayerRange(run["blocks"]).within(depth)
        if span.start != len(blocks):
            raise RecipeError(f"recipe runs must follow each other; expected start {len(blocks)}, got {span}")
        blocks += [BlockWeight(run["tuned_share"], tuple(run.get("overrides", {}).items()))] * span.width
    return blocks


def describe(blocks: Sequence[BlockWeight], embedding: float, final_norm: float, head: float) -> str:
    """A short name for a hybrid in tables and figures, such as `restore 8:14 of 32`.

    Args:
        blocks: One for each decoder block.
        embedding: Share of the tuned embedding.
        final_norm: Share of the tuned final norm.
        head: Share of the tuned head.
    """
    depth, kinds, outside = len(blocks), set(blocks), {embedding, final_norm, head}
    if kinds == {TUNED} and outside == {1.0}:
        return f"tuned ({depth} blocks)"
    suffix = f" of {depth}"
    if outside == {0.0}:
        suffix += ", outside base"
    elif outside != {1.0}:
        suffix += f", embedding {embedding:g}, final norm {final_norm:g}, head {head:g} tuned"
    if len(kinds) == 1 and not blocks[0].overrides:
        return _uniform(blocks[0].default, outside, depth, suffix)
    changed = kinds - {TUNED}
    if len(changed) == 1:
        return _changed(changed.pop(), _where(blocks), suffix)
    if _is_ramp(blocks):
        return f"ramp {blocks[0].default:g} to {blocks[-1].default:g}{suffix}"
    return f"mixed recipe{suffix}"


def _uniform(share: float, outside: set[float], depth: int, suffix: str) -> str:
    """The name where every block has one share."""
    if outside == {share}:
        return f"base ({depth} blocks)" if share == 0.0 else f"soup {share:g} of {depth}"
    return ("all blocks base" if share == 0.0 else f"blocks {share:g} tuned") + suffix


def _changed(kind: BlockWeight, where: str, suffix: str) -> str:
    """The name where some blocks are of one kind and the rest is tuned."""
    if kind == BASE:
        return f"restore {where}{suffix}"
    if kind.default == 1.0 and {share for _, share in kind.overrides} == {0.0}:
        return f"restore {'+'.join(name for name, _ in kind.overrides)} in {where}{suffix}"
    return f"{where} at {kind}, rest tuned,{suffix}"


def _is_ramp(blocks: Sequence[BlockWeight]) -> bool:
    shares = [block.default for block in blocks]
    slope = (shares[-1] - shares[0]) / max(len(shares) - 1, 1)
    even = all(math.isclose(b - a, slope, abs_tol=1e-9) for a, b in pairwise(shares))
    return even and not any(block.overrides for block in blocks)


def _where(blocks: Sequence[BlockWeight]) -> str:
    """The blocks that are not tuned: a range where they follow each other, else a set."""
    chosen = [i for i, block in enumerate(blocks) if not block.is_tuned]
    if chosen and chosen[-1] - chosen[0] + 1 == len(chosen):
        return str(LayerRange(chosen[0], chosen[-1] + 1))
    return "{" + ", ".join(map(str, chosen)) + "}"

"""`BlockWeight`: where the weights of one decoder block come from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

from slr_probe.errors import RecipeError

GROUPS = ("attention", "mlp", "norm", "other")
"""Every tensor of a block belongs to exactly one of these; a recipe may treat them differently."""


def check_share(value: object, what: str) -> float:
    """Return a share of the tuned weights as a float.

    Raises:
        RecipeError: It is not a finite number.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise RecipeError(f"the tuned share of {what} must be a finite number (0 base, 1 tuned); got {value!r}")
    return float(value) + 0.0  # -0.0 and 0.0 are one share


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
        given = {str(name): check_share(share, f"override {name!r}") for name, share in self.overrides}
        default = check_share(self.default, "default")
        # Which group a component belongs to is layout knowledge, so a component override is dropped
        # only where no group override could stand between it and the default.
        any_group = any(name in GROUPS and share != default for name, share in given.items())
        kept = {n: s for n, s in given.items() if s != default or (n not in GROUPS and any_group)}
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

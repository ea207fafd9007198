"""`WeightDelta`: what changed in every weight matrix, as tables, figure and file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from slr_probe.result import Result, records

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False, repr=False)
class WeightDelta(Result):
    """What changed between base and tuned, one entry a tensor; norms are Frobenius norms summed in float64.

    Attributes:
        base: What was compared.
        tuned: With what.
        depth: Number of decoder blocks.
        name: Tensor names, as in tuned.
        block: Decoder block of each tensor; -1 outside the blocks.
        group: `"attention"`, `"mlp"`, `"norm"` or `"other"` in a block; else the part (`"embedding"`, `"head"`, ...).
        component: `"q"`, `"k"`, `"v"`, `"o"`, `"gate"`, `"up"`, `"down"`, ..., or the module's own name.
        shape: Shapes.
        delta_norm: Norm of tuned - base.
        base_norm: Norm of base.
        tuned_norm: Norm of tuned.
        spectral_norm: Largest singular value of the delta; NaN where it was left out. Axes before the last count
            as rows, so a vector's is its norm and stacked experts are one tall matrix.
        spectral_error: Its relative error bound; 0 where it is exact.
        changed: Share of elements that differ. For a LoRA adapter, of the unmerged (unrounded) sum.
        notes: Tensors that could not be compared, and why.
    """

    kind: ClassVar[str] = "slr_probe.WeightDelta/1"
    view: ClassVar[str] = "weights"

    base: str
    tuned: str
    depth: int
    name: tuple[str, ...]
    block: Int[np.ndarray, " tensor"]
    group: tuple[str, ...]
    component: tuple[str, ...]
    shape: tuple[tuple[int, ...], ...]
    delta_norm: Float[np.ndarray, " tensor"]
    base_norm: Float[np.ndarray, " tensor"]
    tuned_norm: Float[np.ndarray, " tensor"]
    spectral_norm: Float[np.ndarray, " tensor"]
    spectral_error: Float[np.ndarray, " tensor"]
    changed: Float[np.ndarray, " tensor"]
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> Int[np.ndarray, " tensor"]:
        """Elements of each tensor."""
        return np.array([math.prod(shape) for shape in self.shape], dtype=np.int64)

    @property
    def relative(self) -> Float[np.ndarray, " tensor"]:
        """Norm of the delta over norm of base; infinite where base is zero, NaN where both are."""
        return _relative(self.delta_norm, self.base_norm)

    @property
    def cosine(self) -> Float[np.ndarray, " tensor"]:
        """Cosine between base and tuned as vectors; NaN where one of them is zero."""
        return _cosine(self.base_norm, self.tuned_norm, self.delta_norm)

    @property
    def stable_rank(self) -> Float[np.ndarray, " tensor"]:
        """Squared Frobenius over squared spectral norm of the delta, 1 (rank one) to its rank; NaN without change."""
        return _relative(self.delta_norm, self.spectral_norm) ** 2

    def to_dataframe(self, by: Literal["matrix", "block", "group"] = "matrix") -> pd.DataFrame:
        """A table of one row a tensor, a block, or a block and group; `block` is -1 outside the blocks.

        Over several tensors, norms are those of all elements together and `spectral_norm` is the largest one. A block's
        row counts its matrices only: gains of norms live on another scale and, where they are large (Gemma), would
        drown everything else.

        Raises:
            ValueError: Unknown `by`.
        """
        import pandas as pd

        columns: dict[str, Any] = {"block": self.block, "group": self.group, "component": self.component}
        norms = {"delta_norm": self.delta_norm, "base_norm": self.base_norm}
        if by == "matrix":
            ratios = {"relative": self.relative, "cosine": self.cosine}
            spectrum = {"spectral_norm": self.spectral_norm, "spectral_error": self.spectral_error}
            rest = {"stable_rank": self.stable_rank, "changed": self.changed, "tuned_norm": self.tuned_norm}
            shapes = {"name": self.name, "shape": ["x".join(map(str, shape)) for shape in self.shape]}
            return pd.DataFrame({**columns, **shapes, **norms, **ratios, **spectrum, **rest})
        if by not in ("block", "group"):
            raise ValueError(f"to_dataframe(by={by!r}): expected 'matrix', 'block' or 'group'")
        rows = pd.DataFrame({**columns, "elements": self.size, "spectral_norm": self.spectral_norm})
        rows["changed"] = self.changed * self.size
        rows = rows.assign(**{key: value**2 for key, value in {**norms, "tuned_norm": self.tuned_norm}.items()})
        if by == "block":
            rows = rows[(rows["block"] >= 0) & np.array([len(shape) > 1 for shape in self.shape])]
        groups = rows.groupby(["block", "group"] if by == "group" else ["block"], sort=False)
        table = groups[["elements", *norms, "tuned_norm", "changed"]].sum()
        table["spectral_norm"] = groups["spectral_norm"].max()
        for key in (*norms, "tuned_norm"):
            table[key] = np.sqrt(table[key])
        delta, base, tuned = (table[key].to_numpy() for key in (*norms, "tuned_norm"))
        table["relative"], table["cosine"] = _relative(delta, base), _cosine(base, tuned, delta)
        table["changed"] /= table["elements"]
        order = ["elements", *norms, "relative", "cosine", "spectral_norm", "changed"]
        return table[order].reset_index()

    def rows(self) -> list[dict[str, Any]]:
        """Plain data for JSON: one row a matrix; `block` and values that are undefined are None."""
        rows = records(self.to_dataframe())
        for row, shape in zip(rows, self.shape, strict=True):
            row |= {"block": row["block"] if row["block"] >= 0 else None, "shape": list(shape)}
        return rows


def _relative(one: Float[np.ndarray, " tensor"], other: Float[np.ndarray, " tensor"]) -> Float[np.ndarray, " tensor"]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(one / other)


def _cosine(
    base: Float[np.ndarray, " tensor"], tuned: Float[np.ndarray, " tensor"], delta: Float[np.ndarray, " tensor"]
) -> Float[np.ndarray, " tensor"]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.clip((base**2 + tuned**2 - delta**2) / (2 * base * tuned), -1.0, 1.0))

"""How alike two sets of activations are: pure functions of arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


def cosine(one: Float[Tensor, "row hidden"], other: Float[Tensor, "row hidden"]) -> Float[Tensor, " row"]:
    """Cosine of the angle between matching rows, in [-1, 1]; NaN where a row is zero."""
    dot = torch.linalg.vecdot(one.double(), other.double())
    norms = torch.linalg.vector_norm(one.double(), dim=1) * torch.linalg.vector_norm(other.double(), dim=1)
    similarity: Tensor = (dot / norms).clamp(-1.0, 1.0)
    return similarity


def relative_distance(one: Float[Tensor, "row hidden"], other: Float[Tensor, "row hidden"]) -> Float[Tensor, " row"]:
    """`||other - one|| / ||one||` of matching rows: 0 where they are equal, infinite where `one` is 0."""
    wide = one.double()
    distance: Tensor = torch.linalg.vector_norm(other.double() - wide, dim=1) / torch.linalg.vector_norm(wide, dim=1)
    return distance


def linear_cka(one: Float[Tensor, "row hidden"], other: Float[Tensor, "row width"]) -> float:
    """Linear centred kernel alignment (Kornblith et al. 2019, arXiv 1905.00414), in [0, 1].

    `||Y'X||^2 / (||X'X|| ||Y'Y||)` of centred X and Y in Frobenius norms; the same as with their Gram matrices, of
    which the smaller kind is used. It does not change when either side is rotated or scaled. With fewer rows than
    dimensions it is biased upwards (with two rows it is always 1), so compare values over the same rows only. NaN for a
    single row, or where a side does not vary over rows.
    """
    x, y = (side.double() - side.double().mean(0) for side in (one, other))
    x, y = (side / torch.linalg.matrix_norm(side) for side in (x, y))
    if len(x) <= max(x.shape[1], y.shape[1]):
        x, y = x @ x.T, y @ y.T
        return float((x * y).sum() / (torch.linalg.matrix_norm(x) * torch.linalg.matrix_norm(y)))
    between = torch.linalg.matrix_norm(x.T @ y) ** 2
    return float(between / (torch.linalg.matrix_norm(x.T @ x) * torch.linalg.matrix_norm(y.T @ y)))

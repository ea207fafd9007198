"""Largest singular value of a matrix: exact for small ones, by block Krylov iteration with a stated error otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

EXACT_BELOW = 128
"""Matrices whose smaller side is at most this long are solved exactly (our choice)."""


def spectral_norm(matrix: Float[Tensor, "row column"], *, tolerance: float = 1e-3) -> tuple[float, float]:
    """Largest singular value of a matrix that is held in memory.

    Args:
        matrix: Any finite real matrix; float32 is enough for errors down to 1e-5.
        tolerance: Relative error to reach where the matrix is not small.

    Returns:
        The value and its relative error: 0 for small matrices (solved in float64), else the bound of `top_eigenvalue`.
    """
    import torch

    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    size = float(torch.linalg.vector_norm(wide, dtype=torch.float64))
    if size == 0.0:
        return 0.0, 0.0
    if wide.shape[0] == 1:
        return size, 0.0
    if wide.shape[0] <= EXACT_BELOW:
        unit = wide.double() / size
        return size * float(torch.linalg.eigvalsh(unit @ unit.T)[-1].clamp_min(0).sqrt()), 0.0

    def gram(vectors: Tensor) -> Tensor:
        return (wide @ (wide.T @ vectors).div_(size)).div_(size)

    start = torch.randn(wide.shape[0], 1, generator=torch.Generator().manual_seed(0)).to(wide)
    value, error = top_eigenvalue(gram, start, tolerance=2 * tolerance, max_steps=wide.shape[0])
    return size * value**0.5, error / 2


def top_eigenvalue(
    operator: Callable[[Float[Tensor, "size block"]], Float[Tensor, "size block"]],
    start: Float[Tensor, "size block"],
    *,
    tolerance: float,
    max_steps: int,
) -> tuple[float, float]:
    """Largest eigenvalue of a symmetric positive operator by randomised block Krylov iteration (arXiv 1504.05477).

    The best value in the space spanned by `start, A start, A^2 start, ...` never exceeds the true one by more than
    rounding. It is accepted when the residual of its vector is at most `tolerance` times the value: some eigenvalue
    is then within that distance, and the largest one is, except with the probability (zero for exact
    arithmetic, negligible in practice) that the random start misses its vector. The true error is usually far smaller,
    as it falls with the square of the residual.

    Args:
        operator: The operator, applied to `block` vectors at once.
        start: Random vectors.
        tolerance: Relative residual to stop at.
        max_steps: Largest number of times that the operator is applied.

    Returns:
        The eigenvalue, and the relative residual that was reached.
    """
    import torch

    block = start.shape[1]
    basis, images = start.new_empty(0, start.shape[0]), start.new_empty(0, start.shape[0])
    new = torch.linalg.qr(start)[0]
    value, residual = 0.0, float("inf")
    for step in range(1, max_steps + 1):
        image = operator(new)
        basis, images = torch.cat([basis, new.T]), torch.cat([images, image.T])
        last = step == max_steps or len(basis) + block > basis.shape[1]
        if block > 1 or step % 5 == 0 or last:
            values, vectors = torch.linalg.eigh((basis @ images.T).double().cpu())
            weights = vectors[:, -1].to(start)
            value = max(float(values[-1]), 0.0)
            gap = torch.linalg.vector_norm(images.T @ weights - value * (basis.T @ weights))
            residual = float(gap) / value if value else 0.0
        if residual <= tolerance or last:
            break
        for _ in range(2):  # once is not enough to keep the basis orthogonal in float32
            image = image - basis.T @ (basis @ image)
        new = torch.linalg.qr(image)[0]
    return value, residual

"""Sums over the elements of two checkpoints, tensor by tensor in small pieces, in float64."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slr_probe.checkpoint.adapter import AdapterCheckpoint, LowRank
from slr_probe.checkpoint.shard import read_chunks
from slr_probe.errors import CheckpointError
from slr_probe.pair.side import Side
from slr_probe.probes.weights.spectral import spectral_norm, top_eigenvalue

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

PIECE = 1 << 15
"""Elements worked on at a time: three float64 buffers of this length stay in a processor's own cache."""
READ = 1 << 20
"""Elements read at a time."""
HELD = 48 << 20
"""Elements of delta held in memory at a time (192 MiB in float32); larger matrices are read again for each pass."""
_PASSES, _BLOCK = 8, 8  # Krylov iteration over matrices that are read again for each step


@dataclass(frozen=True)
class DeltaSums:
    """What one pass over a tensor of base and tuned gives; adds up over parts of a tensor.

    Attributes:
        base: Sum of squares of base.
        tuned: Sum of squares of tuned.
        delta: Sum of squares of tuned - base.
        changed: Number of elements that differ.
        spectral: Largest singular value of the delta; NaN where it was not asked for.
        error: Its relative error bound.
    """

    base: float = 0.0
    tuned: float = 0.0
    delta: float = 0.0
    changed: int = 0
    spectral: float = float("nan")
    error: float = float("nan")

    def __add__(self, other: DeltaSums) -> DeltaSums:
        return DeltaSums(
            self.base + other.base,
            self.tuned + other.tuned,
            self.delta + other.delta,
            self.changed + other.changed,
        )


@dataclass(frozen=True)
class TensorJob:
    """A tensor, or a part of one, to be summed.

    Attributes:
        base: Base side.
        tuned: Tuned side.
        base_name: The tensor's name in base.
        name: Its name in tuned.
        start: First element of the part.
        stop: One past the last.
        spectral: Whether the spectral norm is wanted (whole tensors only).
        tolerance: Relative error of the spectral norm.
    """

    base: Side
    tuned: Side
    base_name: str
    name: str
    start: int
    stop: int
    spectral: bool = False
    tolerance: float = 1e-3

    @property
    def held(self) -> int:
        """Elements of delta that the job keeps in memory."""
        size = self.stop - self.start
        return size if self.spectral and self.low_rank is None and size <= HELD else 0

    @property
    def low_rank(self) -> LowRank | None:
        """The delta's factors, where it has them: the tuned side is an adapter that changes this tensor at low rank."""
        checkpoint = self.tuned.checkpoint
        if not isinstance(checkpoint, AdapterCheckpoint) or self.name in checkpoint.replaced:
            return None
        return checkpoint.low_rank.get(self.name)

    @property
    def columns(self) -> int:
        """Length of the last axis; all other axes count as rows."""
        shape = self.tuned.shapes[self.name]
        return shape[-1] if len(shape) > 1 else self.stop - self.start

    def run(self) -> DeltaSums:
        """Do it.

        Raises:
            CheckpointError: The tensor has NaN or infinite values, or a file ended early.
        """
        sums = self._plain() if self.low_rank is None else self._factored(self.low_rank)
        finite = sums.base < float("inf") and sums.tuned < float("inf")  # false for NaN
        if not finite:
            side, name = (self.tuned, self.name) if sums.base < float("inf") else (self.base, self.base_name)
            raise CheckpointError(f"{side.role} ({side.label}): tensor '{name}' has NaN or infinite weights")
        return sums

    def _plain(self) -> DeltaSums:
        import torch

        held = torch.empty(self.held, dtype=torch.float32) if self.held else None
        base = tuned = delta = 0.0
        changed = position = 0
        for one, two in _differences(self):
            base += float(torch.dot(one, one))
            tuned += float(torch.dot(two, two))
            two -= one
            delta += float(torch.dot(two, two))
            changed += _nonzero(two)
            if held is not None:
                held[position : position + len(two)] = two
            position += len(two)
        sums = DeltaSums(base, tuned, delta, changed)
        if not self.spectral or not delta < float("inf"):
            return sums
        if held is None:
            spectral, error = self._streamed(delta)
        else:
            spectral, error = spectral_norm(held.view(-1, self.columns), tolerance=self.tolerance)
        return dataclasses.replace(sums, spectral=spectral, error=error)

    def _streamed(self, square: float) -> tuple[float, float]:
        """Spectral norm of a matrix that is too large to hold: one pass over both files for each Krylov step."""
        import torch

        if square == 0.0:
            return 0.0, 0.0
        scale, columns = square**0.5, self.columns

        def gram(vectors: Tensor) -> Tensor:
            total = torch.zeros_like(vectors)
            for one, two in _differences(self, max(1, PIECE // columns) * columns):
                rows = (two - one).div_(scale).float().view(-1, columns)
                total += rows.T @ (rows @ vectors)
            return total

        start = torch.randn(columns, _BLOCK, generator=torch.Generator().manual_seed(0))
        value, error = top_eigenvalue(gram, start, tolerance=2 * self.tolerance, max_steps=_PASSES)
        return scale * value**0.5, error / 2

    def _factored(self, low_rank: LowRank) -> DeltaSums:
        """Sums of `W + scaling * B A` from the factors and one pass over W; the product is never formed."""
        import torch

        left, right = _factors(low_rank)
        inner = torch.zeros(right.shape, dtype=torch.float64)
        base, row, columns = 0.0, 0, right.shape[1]
        for piece in _pieces(self.base, self.base_name, self.start, self.stop, max(1, READ // columns) * columns):
            rows = piece.float().view(-1, columns)
            for part in torch.split(piece, PIECE):
                wide = part.double()
                base += float(torch.dot(wide, wide))
            inner += (left[row : row + len(rows)].T.float() @ rows).double()
            row += len(rows)
        delta = float(((left.T @ left) * (right @ right.T)).sum())
        tuned = base + 2 * float((inner * right).sum()) + delta
        changed = int((left != 0).any(1).sum()) * int((right != 0).any(0).sum()) if delta else 0
        if not self.spectral or not delta < float("inf"):
            return DeltaSums(base, tuned, delta, changed)
        core = torch.linalg.qr(left)[1] @ torch.linalg.qr(right.T)[1].T
        return DeltaSums(base, tuned, delta, changed, float(torch.linalg.matrix_norm(core, 2)), 0.0)


class MemoryGate:
    """Keeps the elements that all threads hold together below a limit.

    Args:
        limit: The limit; no single request may exceed it.
    """

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Wait until `size` elements are free, and keep them during a `with` block."""
        with self._changed:
            self._changed.wait_for(lambda: self._free >= size)
            self._free -= size
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()


def _differences(
    job: TensorJob, length: int = PIECE
) -> Iterator[tuple[Float[Tensor, " element"], Float[Tensor, " element"]]]:
    """Matching pieces of base and tuned in float64, each valid (and free to change) until the next is asked for."""
    import torch

    read = max(1, READ // length) * length
    one, two = torch.empty(length, dtype=torch.float64), torch.empty(length, dtype=torch.float64)
    ones = _pieces(job.base, job.base_name, job.start, job.stop, read)
    twos = _pieces(job.tuned, job.name, job.start, job.stop, read)
    for many, others in zip(ones, twos, strict=True):
        for piece, other in zip(torch.split(many, length), torch.split(others, length), strict=True):
            yield one[: len(piece)].copy_(piece), two[: len(other)].copy_(other)


def _pieces(side: Side, name: str, start: int, stop: int, length: int) -> Iterator[Tensor]:
    """Elements `start` to `stop` of one tensor, flat, `length` at a time, in its own dtype."""
    import torch

    if side.model is not None:
        module, _, leaf = name.rpartition(".")
        tensor: Tensor = getattr(side.model.get_submodule(module), leaf)
        yield from torch.split(tensor.detach().reshape(-1)[start:stop], length)
        return
    checkpoint = side.checkpoint
    assert checkpoint is not None
    if isinstance(checkpoint, AdapterCheckpoint) and name in checkpoint.replaced:
        yield from torch.split(checkpoint.read(name).reshape(-1)[start:stop], length)
        return
    info = checkpoint.tensors[name]
    size = info.itemsize
    part = dataclasses.replace(info, start=info.start + start * size, stop=info.start + stop * size)
    yield from read_chunks(part, length * size)


def _factors(low_rank: LowRank) -> tuple[Float[Tensor, "row rank"], Float[Tensor, "rank column"]]:
    """Factors whose product is the delta as the weight is stored, in float64."""
    a, b = (factor.double() for factor in low_rank.factors())
    left, right = (a.T, b.T) if low_rank.transposed else (b, a)
    return left * low_rank.scaling, right


def _nonzero(piece: Float[Tensor, " element"]) -> int:
    import numpy as np

    return int(np.count_nonzero(piece.numpy() != 0.0))  # several times faster than torch's

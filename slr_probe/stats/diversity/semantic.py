"""Semantic diversity, from sentence embeddings or from entailment between outputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

_FINEST = float(np.finfo(np.float64).eps)
_ROUNDINGS = 4
"""How many times its precision a vector may be wrong by, as an encoder rounds more than once (ours)."""


def embedding_distance(embeddings: Float[ndarray, "text dim"]) -> float:
    """1 - mean cosine over the pairs of outputs, in [0, 2] (arXiv 2604.16027 with all-mpnet-base-v2).

    Rows are scaled to length 1 here. The mean over pairs is `(|sum|^2 - K) / (K (K - 1))`, so the cost is O(K dim).

    Args:
        embeddings: One vector for each output of one prompt.

    Returns:
        NaN for fewer than two outputs, or where a vector is zero (it has no direction).

    Raises:
        ValueError: Not a matrix, or values that are NaN or infinite.

    Examples:
        >>> embedding_distance(np.eye(3)), embedding_distance(np.ones((4, 2)))
        (1.0, 0.0)
    """
    unit = _unit(as_float64(embeddings)[0])
    if unit is None or len(unit) < 2:
        return math.nan
    total, own = unit.sum(axis=0), np.einsum("kd,kd->", unit, unit)
    mean = float(total @ total - own) / (len(unit) * (len(unit) - 1))
    return min(max(_snap(1 - mean), 0.0), 2.0)


def vendi_score(embeddings: Float[ndarray, "text dim"], q: float = 1.0) -> float:
    """Vendi score of order q of the cosine similarities: an effective number of different outputs, in [1, K].

    Friedman and Dieng 2023 (q = 1: exp of the Shannon entropy of the eigenvalues of the Gram matrix / K); Pasarkar and
    Dieng 2024 for other orders, exp of the Renyi entropy: q = 0 counts the eigenvalues that are not 0, q = infinity is
    1 / the largest. Small q weighs rare outputs more. Rows are scaled to length 1 here.

    Args:
        embeddings: One vector for each output of one prompt.
        q: Order, from 0 to infinity.

    Returns:
        1 for a single output; NaN for none, or where a vector is zero.

    Raises:
        ValueError: A negative order, not a matrix, or values that are NaN or infinite.

    Examples:
        >>> round(vendi_score(np.eye(3)), 9), round(vendi_score(np.ones((4, 2))), 9)
        (3.0, 1.0)
    """
    vectors, precision = as_float64(embeddings)
    unit = _unit(vectors)
    _check_order(q)
    if unit is None or not len(unit):
        return math.nan
    # The nonzero eigenvalues of X X^T and X^T X are the same; the smaller matrix is taken.
    gram = unit @ unit.T if len(unit) <= unit.shape[1] else unit.T @ unit
    return _effective(np.linalg.eigvalsh(gram / len(unit)), len(unit), q, (_ROUNDINGS * precision) ** 2)


def vendi_from_gram(gram: Float[ndarray, "text text"], q: float = 1.0) -> float:
    """Vendi score of order q from a similarity matrix with ones on its diagonal; see `vendi_score`.

    Raises:
        ValueError: A negative order, or a matrix that is not square, not symmetric, not positive semidefinite, or does
            not hold 1 on its diagonal.

    Examples:
        >>> round(vendi_from_gram([[1, 0.5], [0.5, 1]], q=2), 9)
        1.6
    """
    matrix, precision = as_float64(gram)
    _check_order(q)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"a Gram matrix is square; got shape {matrix.shape}")
    if not len(matrix):
        return math.nan
    tolerance = max(8 * precision, 1e-9)
    if not np.isfinite(matrix).all() or np.abs(matrix - matrix.T).max() > tolerance:
        raise ValueError("a Gram matrix must be finite and symmetric")
    if np.abs(np.diagonal(matrix) - 1).max() > tolerance:
        raise ValueError("a Gram matrix needs 1 on its diagonal: every output is as similar as can be to itself")
    values = np.linalg.eigvalsh((matrix + matrix.T) / (2 * len(matrix)))
    if values[0] < -10 * tolerance:
        raise ValueError(f"a Gram matrix must be positive semidefinite; its smallest eigenvalue / K is {values[0]:.3g}")
    return _effective(values, len(matrix), q, precision)


def nli_diversity(scores: Float[ndarray, "text text"]) -> float:
    """1 - mean over ordered pairs of P(entailment) - P(contradiction), in [0, 2] (arXiv 2604.16027).

    Args:
        scores: `scores[i, j]` = P(entailment) - P(contradiction) with output i as premise and j as hypothesis, in
            [-1, 1]. The diagonal is not read.

    Returns:
        NaN for fewer than two outputs, or where the score of a pair is NaN.

    Raises:
        ValueError: The matrix is not square, or a score lies outside [-1, 1].

    Examples:
        >>> nli_diversity([[0, 1], [1, 0]]), nli_diversity([[0, -1], [-1, 0]])
        (0.0, 2.0)
    """
    matrix = np.asarray(scores, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"entailment scores need a square matrix; got shape {matrix.shape}")
    if len(matrix) < 2:
        return math.nan
    pairs = matrix[~np.eye(len(matrix), dtype=bool)]
    if (np.abs(pairs) > 1 + 1e-6).any():
        raise ValueError(f"P(entailment) - P(contradiction) lies in [-1, 1]; got {pairs[np.abs(pairs).argmax()]:.6g}")
    return float(1 - pairs.mean())


def _unit(embeddings: Float[ndarray, "text dim"]) -> Float[ndarray, "text dim"] | None:
    """Rows of length 1 in float64; None where a row is zero."""
    matrix = embeddings
    if matrix.ndim != 2:
        raise ValueError(f"embeddings need one row for each output; got shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise ValueError(f"{int((~np.isfinite(matrix)).any(axis=1).sum())} embeddings are NaN or infinite")
    scale = np.abs(matrix).max(axis=1, keepdims=True, initial=0.0)  # so that tiny and huge vectors keep their direction
    if (scale == 0).any():
        return None
    scaled = matrix / scale
    return np.asarray(scaled / np.linalg.norm(scaled, axis=1, keepdims=True))


def _snap(distance: float) -> float:
    """Rounding of equal vectors is not diversity."""
    return 0.0 if abs(distance) < 1e-14 else distance


def as_float64(given: Any) -> tuple[Float[ndarray, "..."], float]:
    """Numbers of any kind, tensors of torch included, in float64, and the precision that they came in.

    Raises:
        ValueError: They are complex.
    """
    if hasattr(given, "detach"):
        import torch

        dtype = given.dtype if given.is_floating_point() else torch.float64
        return given.detach().double().cpu().numpy(), max(float(torch.finfo(dtype).eps), _FINEST)
    array = np.asarray(given)
    if np.iscomplexobj(array):
        raise ValueError("expected real numbers; got complex ones")
    dtype = array.dtype if np.issubdtype(array.dtype, np.floating) else np.dtype(np.float64)
    return array.astype(np.float64), max(float(np.finfo(dtype).eps), _FINEST)


def _effective(values: Float[ndarray, " eigenvalue"], count: int, q: float, noise: float) -> float:
    """Exp of the Renyi entropy of order q of eigenvalues that sum to 1; rounding noise is not an eigenvalue.

    Orders below 1 count small eigenvalues, so what low precision of the input may have made up is left out: up to
    `noise`, the square of what rounding changes in a vector of length 1, as all of its eigenvalues together are no
    larger. Orders from 1 weigh it next to nothing, and leaving it out would lose real ones of many or like outputs.
    """
    kept = values[values > max(count * _FINEST * values.max(), noise if q < 1 else 0)]
    kept = kept / kept.sum()
    if abs(q - 1) < 1e-8:  # the limit; the general formula would divide rounding by almost 0
        entropy = float(-(kept * np.log(kept)).sum())
    elif math.isinf(q):
        entropy = -math.log(float(kept.max()))
    else:
        top = np.log(kept).max()  # kept inside the log: large orders would underflow
        entropy = (q * top + math.log(float(np.exp(q * (np.log(kept) - top)).sum()))) / (1 - q)
    return min(max(math.exp(entropy), 1.0), float(count))


def _check_order(q: float) -> None:
    if not q >= 0:
        raise ValueError(f"the order q of a Vendi score must be 0 or more; got {q!r}")

"""Embedding distance, Vendi score and NLI diversity: closed forms and brute force."""

from __future__ import annotations

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch

from slr_probe.stats.diversity import embedding_distance, nli_diversity, vendi_from_gram, vendi_score

ORDERS = (0, 0.1, 0.5, 1, 1.5, 2, 10, math.inf)


def vectors(seed, count=9, dim=5):
    return np.random.default_rng(seed).normal(size=(count, dim))


def cosine(a, b):
    return a @ b / np.sqrt((a @ a) * (b @ b))


@pytest.mark.parametrize("seed", range(5))
def test_distance_equals_the_loop_over_pairs(seed):
    found = vectors(seed, count=2 + 3 * seed)
    expected = 1 - np.mean([cosine(a, b) for a, b in combinations(found, 2)])
    assert embedding_distance(found) == pytest.approx(expected, abs=1e-9)
    assert embedding_distance(found * np.arange(1, len(found) + 1)[:, None]) == pytest.approx(expected, abs=1e-9)


def test_distance_by_hand():
    assert embedding_distance([[1, 0], [0, 2]]) == pytest.approx(1.0, abs=1e-12)
    assert embedding_distance([[1, 0], [-3, 0]]) == pytest.approx(2.0, abs=1e-12)
    assert embedding_distance([[1, 0], [1, 1]]) == pytest.approx(1 - 1 / math.sqrt(2), abs=1e-12)
    assert embedding_distance(np.tile(vectors(0, 1), (50, 1))) == 0.0
    assert embedding_distance(np.eye(7)) == pytest.approx(1.0, abs=1e-12)


def test_undefined_is_nan_and_nonsense_is_an_error():
    zero = np.array([[1.0, 0.0], [0.0, 0.0]])
    assert math.isnan(embedding_distance(zero))
    assert math.isnan(vendi_score(zero))
    assert math.isnan(embedding_distance(np.ones((1, 3))))
    assert math.isnan(embedding_distance(np.empty((0, 3))))
    assert vendi_score(np.ones((1, 3))) == 1.0
    assert math.isnan(vendi_score(np.empty((0, 3))))
    for bad in (np.ones(3), np.array([[np.nan, 1.0], [1.0, 1.0]])):
        with pytest.raises(ValueError, match="embeddings"):
            embedding_distance(bad)
        with pytest.raises(ValueError, match="embeddings"):
            vendi_score(bad)
    for tiny in (1e-200, 1e200):  # a small vector still has a direction
        assert embedding_distance(np.eye(2) * tiny) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("q", ORDERS)
def test_vendi_closed_forms(q):
    assert vendi_score(np.eye(6), q) == pytest.approx(6, abs=1e-9)  # all different
    assert vendi_score(np.ones((6, 3)), q) == pytest.approx(1, abs=1e-9)  # all the same
    groups = np.repeat(np.eye(3), [4, 4, 4], axis=0)  # three equal groups
    assert vendi_score(groups, q) == pytest.approx(3, abs=1e-9)


@pytest.mark.parametrize("q", ORDERS)
def test_vendi_of_two(q):
    # Eigenvalues of [[1, s], [s, 1]] / 2 are (1 + s) / 2 and (1 - s) / 2.
    s = 0.6
    p = np.array([(1 + s) / 2, (1 - s) / 2])
    if q == 1:
        expected = math.exp(-(p * np.log(p)).sum())
    elif q == math.inf:
        expected = 1 / p.max()
    else:
        expected = float((p**q).sum() ** (1 / (1 - q)))
    assert vendi_from_gram([[1, s], [s, 1]], q) == pytest.approx(expected, abs=1e-9)
    assert vendi_score([[1, 0], [s, math.sqrt(1 - s * s)]], q) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shape", [(5, 30), (30, 5)])
@pytest.mark.parametrize("q", ORDERS)
def test_vendi_from_vectors_equals_the_gram_matrix(shape, q):
    found = vectors(1, *shape)
    unit = found / np.linalg.norm(found, axis=1, keepdims=True)
    assert vendi_score(found, q) == pytest.approx(vendi_from_gram(unit @ unit.T, q), rel=1e-9)


def test_vendi_uses_its_order_and_falls_with_it():
    scores = [vendi_score(vectors(2), q) for q in ORDERS]
    assert all(a > b + 1e-3 for a, b in pairwise(scores))
    assert all(1 <= score <= 9 for score in scores)
    near = [vendi_score(vectors(2), 1 + d) for d in (-1e-6, 1e-12, 0.0, 1e-6)]
    np.testing.assert_allclose(near, near[2], atol=1e-4)


def test_vendi_of_disjoint_texts_is_their_number():
    """Peers score disjoint texts as identical; a bag-of-words vector of disjoint texts is orthogonal."""
    texts = ["sun moon", "red green", "one two", "up down"]
    words = sorted({word for text in texts for word in text.split()})
    bags = np.array([[text.split().count(word) for word in words] for text in texts], dtype=np.float32)
    assert vendi_score(bags) == pytest.approx(4, abs=1e-6)
    assert embedding_distance(bags) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize(("count", "spread"), [(16, 0.5), (200, 1.0), (256, 0.05)])
def test_vendi_of_low_precision_is_that_of_the_vectors(dtype, count, spread):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=96) + spread * rng.normal(size=(count, 96))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = vendi_score(vectors)
    assert vendi_score(vectors.astype(dtype)) == pytest.approx(expected, rel=1e-3)
    assert vendi_from_gram((unit @ unit.T).astype(np.float32)) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_tensors_of_low_precision_count_for_what_they_hold(dtype):
    """An offset makes all eigenvalues but one small; those of 16 vectors are still far above what rounding makes."""
    given = torch.randn(16, 768, generator=torch.Generator().manual_seed(0)).add(3).to(dtype).requires_grad_()
    exact = given.detach().double().numpy()
    assert vendi_score(given, 0) == pytest.approx(16)
    for q in (0.5, 1, 2):
        assert vendi_score(given, q) == pytest.approx(vendi_score(exact, q), rel=1e-3)
    assert embedding_distance(given) == pytest.approx(embedding_distance(exact))
    unit = exact / np.linalg.norm(exact, axis=1, keepdims=True)
    assert vendi_from_gram(torch.tensor(unit @ unit.T).to(dtype)) == pytest.approx(vendi_score(exact), rel=1e-2)


def test_rounding_of_equal_vectors_is_no_rank():
    exact = np.repeat(vectors(3, 5, 64), 40, axis=0)
    for dtype in (np.float16, np.float32):
        rounded = (exact * (1 + vectors(4, 200, 64) * np.finfo(dtype).eps / 4)).astype(dtype)
        assert vendi_score(rounded, 0) == pytest.approx(5)


def test_complex_vectors_are_refused():
    with pytest.raises(ValueError, match="complex"):
        vendi_score(np.eye(2) * 1j)


def test_vendi_ignores_rounding_noise():
    repeated = np.repeat(vectors(4, 3, 384).astype(np.float32), 20, axis=0)
    assert vendi_score(repeated, 0) == pytest.approx(3, abs=1e-6)
    assert vendi_score(repeated, 0.1) < 3.001


@pytest.mark.parametrize(
    ("gram", "why"),
    [
        ([[1.0, 0.5]], "square"),
        ([[1.0, 0.5], [0.4, 1.0]], "symmetric"),
        ([[2.0, 0.5], [0.5, 2.0]], "diagonal"),
        ([[1.0, 2.0], [2.0, 1.0]], "semidefinite"),
        ([[1.0, np.nan], [np.nan, 1.0]], "finite"),
    ],
)
def test_bad_gram_matrices(gram, why):
    with pytest.raises(ValueError, match=why):
        vendi_from_gram(gram)


def test_bad_orders():
    for q in (-1, math.nan):
        with pytest.raises(ValueError, match="order q"):
            vendi_score(np.eye(2), q)


def test_nli():
    scores = np.random.default_rng(0).uniform(-1, 1, (6, 6))
    expected = 1 - np.mean([scores[i, j] for i in range(6) for j in range(6) if i != j])
    assert nli_diversity(scores) == pytest.approx(expected, abs=1e-9)
    np.fill_diagonal(scores, np.nan)  # not read
    assert nli_diversity(scores) == pytest.approx(expected, abs=1e-9)
    assert math.isnan(nli_diversity([[1.0]]))
    assert math.isnan(nli_diversity([[0, np.nan], [0, 0]]))
    with pytest.raises(ValueError, match="square"):
        nli_diversity(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        nli_diversity([[0, 2.0], [0, 0]])

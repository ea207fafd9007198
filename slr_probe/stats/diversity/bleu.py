"""Self-BLEU: how much of each output is said by the others."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from slr_probe.stats.diversity.lexical import ngram_ids, split_words

_EPSILON = 0.1


def self_bleu(texts: Sequence[str], n: int = 4) -> float:
    """Mean BLEU-n of each output against all others as references, in [0, 1]; high is NOT diverse (Zhu et al. 2018).

    BLEU is the geometric mean over orders 1 ... n of clipped n-gram precision, times the brevity penalty against
    the reference of the closest length (the shorter of two equally close). Smoothing: an order without a match counts
    0.1 matches (method 1 of Chen and Cherry 2014); an output without a common word scores 0. Orders longer than the
    output are left out (effective order), so that equal texts score 1 however short. Words by whitespace. Outputs
    without words have no n-grams and are left out (ours).

    All n-grams are counted once; a precision needs only the two outputs that use an n-gram most often, so the cost
    grows with the text and not with its square.

    Args:
        texts: Outputs for one prompt.
        n: Longest n-gram.

    Returns:
        NaN where fewer than two outputs hold words.

    Raises:
        ValueError: n is below 1.

    Examples:
        >>> self_bleu(["the sun set", "the sun set"]), self_bleu(["a b", "c d"])
        (1.0, 0.0)
    """
    if n < 1:
        raise ValueError(f"n-grams need orders of at least 1; got {n}")
    words = list(filter(None, map(split_words, texts)))
    if len(words) < 2:
        return math.nan
    lengths = np.array([len(text) for text in words])
    logs, matched = np.zeros(len(words)), np.zeros(len(words), dtype=bool)
    for order, (ids, owner) in enumerate(ngram_ids(words, n), 1):
        matches, total = _clipped(ids, owner, len(words)), np.maximum(lengths - order + 1, 0)
        if order == 1:
            matched = matches > 0
        held = total > 0
        logs[held] += np.log(np.where(matches > 0, matches, _EPSILON)[held] / total[held])
    scores = np.exp(logs / np.minimum(lengths, n) + _brevity(lengths))
    return float(np.where(matched, scores, 0.0).mean())


def _clipped(ids: Int[ndarray, " ngram"], owner: Int[ndarray, " ngram"], texts: int) -> Float[ndarray, " text"]:
    """For each text, its n-grams counted at most as often as the other text that uses them most."""
    if not len(ids):
        return np.zeros(texts)
    pairs, counts = np.unique(ids * texts + owner, return_counts=True)
    grams, owners = np.divmod(pairs, texts)
    order = np.lexsort((counts, grams))
    grams, owners, counts = grams[order], owners[order], counts[order]
    last = np.append(grams[1:] != grams[:-1], True)  # the text that uses this n-gram most
    top = counts[last]
    alone = np.append(True, grams[1:] != grams[:-1])
    second = np.where(alone[last], 0, counts[np.maximum(np.flatnonzero(last) - 1, 0)])
    group = np.cumsum(alone) - 1
    others = np.where(last, second[group], top[group])
    return np.bincount(owners, weights=np.minimum(counts, others), minlength=texts)


def _brevity(lengths: Int[ndarray, " text"]) -> Float[ndarray, " text"]:
    """Log of the brevity penalty of each text against all others."""
    order = np.sort(lengths)
    penalty = np.zeros(len(lengths))
    for i, length in enumerate(lengths):
        if np.searchsorted(order, length, side="right") - np.searchsorted(order, length) > 1:
            continue  # another text is as long
        place = int(np.searchsorted(order, length))
        near = [int(order[j]) for j in (place - 1, place + 1) if 0 <= j < len(order)]
        closest = min(near, key=lambda other: (abs(other - length), other))
        penalty[i] = min(0.0, 1 - closest / length)
    return penalty

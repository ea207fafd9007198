"""Self-BLEU against hand-computed numbers, plain brute force and NLTK."""

from __future__ import annotations

import math
import random
import time
from collections import Counter

import numpy as np
import pytest

from slr_probe.stats.diversity import self_bleu
from tests.stats.diversity.naive import grams, random_texts


def naive_bleu(hypothesis, references, n):
    """BLEU by its definition, with the smoothing and the effective order that `self_bleu` states."""
    logs = []
    for order in range(1, min(n, len(hypothesis)) + 1):
        own = Counter(grams(hypothesis, order))
        matched = sum(min(c, max(Counter(grams(r, order))[g] for r in references)) for g, c in own.items())
        if order == 1 and not matched:
            return 0.0
        logs.append(math.log((matched or 0.1) / sum(own.values())))
    closest = min((len(r) for r in references), key=lambda size: (abs(size - len(hypothesis)), size))
    penalty = 1.0 if len(hypothesis) >= closest else math.exp(1 - closest / len(hypothesis))
    return penalty * math.exp(sum(logs) / len(logs))


def naive_self_bleu(texts, n=4):
    words = [text.split() for text in texts if text.split()]
    return sum(naive_bleu(w, words[:i] + words[i + 1 :], n) for i, w in enumerate(words)) / len(words)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("n", [1, 2, 4])
def test_self_bleu_equals_brute_force(seed, n):
    texts = random_texts(seed, count=3 + seed, words=4 if seed % 2 else 25)
    assert self_bleu(texts, n) == pytest.approx(naive_self_bleu(texts, n), abs=1e-9)


def test_self_bleu_by_hand():
    # "a b c" against "a b d": precisions 2/3, 1/2, 0.1/1; both lengths equal.
    expected = (2 / 3 * 1 / 2 * 0.1) ** (1 / 3)
    assert self_bleu(["a b c", "a b d"], 4) == pytest.approx(expected, abs=1e-12)
    # Brevity: "a" against "a b c" is right but short: exp(1 - 3); "a b c" against "a" has 1/3, then smoothed orders.
    long = (1 / 3 * 0.1 / 2 * 0.1 / 1) ** (1 / 3)
    assert self_bleu(["a", "a b c"], 4) == pytest.approx((math.exp(-2) + long) / 2, abs=1e-12)


def test_self_bleu_agrees_with_nltk_on_long_texts():
    bleu = pytest.importorskip("nltk.translate.bleu_score")
    smooth = bleu.SmoothingFunction().method1
    texts = [text for text in random_texts(3, words=40) if len(text.split()) >= 4]
    words = [text.split() for text in texts]
    each = [bleu.sentence_bleu(words[:i] + words[i + 1 :], w, smoothing_function=smooth) for i, w in enumerate(words)]
    assert self_bleu(texts) == pytest.approx(np.mean(each), abs=1e-9)


def test_self_bleu_corner_cases():
    assert self_bleu(["yes"] * 3) == 1.0  # equal however short
    assert self_bleu(["a b c d e"] * 2) == pytest.approx(1.0, abs=1e-15)
    assert self_bleu(["a b c d", "e f g h", "i j k l"]) == 0.0
    assert math.isnan(self_bleu(["a b"]))
    assert math.isnan(self_bleu([]))
    assert math.isnan(self_bleu(["", ""]))
    assert math.isnan(self_bleu(["a b", ""]))  # one text with words
    assert self_bleu(["a b c", "a b d", "", "  "]) == self_bleu(["a b c", "a b d"])
    with pytest.raises(ValueError, match="at least 1"):
        self_bleu(["a", "b"], 0)


def test_order_of_texts_does_not_matter():
    texts = random_texts(5)
    assert self_bleu(texts) == pytest.approx(self_bleu(texts[::-1]), abs=1e-12)


def test_fast_enough_for_a_study():
    rng = random.Random(0)
    texts = [" ".join(f"w{rng.randint(0, 400)}" for _ in range(60)) for _ in range(128)]
    start = time.process_time()
    self_bleu(texts)
    assert time.process_time() - start < 0.5  # measured 0.03 s; 100 prompts take seconds

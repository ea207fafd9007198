"""EAD and distinct-n against hand-computed numbers and plain brute force."""

from __future__ import annotations

import math
import random
import time

import numpy as np
import pytest

from slr_probe.stats.diversity import distinct_n, ead, opening, self_repetition
from slr_probe.stats.diversity.lexical import ngram_ids, split_words
from tests.stats.diversity.naive import grams, random_texts


def naive_ead(texts, vocabulary, orders=(1, 2, 3, 4, 5)):
    words = [text.replace(".", "").replace("\n", "").split() for text in texts]
    values = []
    for n in orders:
        pooled = [gram for text in words for gram in grams(text, n)]
        expected = vocabulary * (1 - ((vocabulary - 1) / vocabulary) ** len(pooled))
        values.append(len(set(pooled)) / expected if pooled else 0.0)
    return min(sum(values) / len(orders), 1.0)


def test_ead_by_hand():
    # Words: a b c a b -> unigrams 3 of 5, bigrams ab bc ca ab -> 3 of 4; V = 10.
    one = 3 / (10 * (1 - 0.9**5))
    two = 3 / (10 * (1 - 0.9**4))
    assert ead(["a b c a b"], 10, orders=(1,)) == pytest.approx(one, abs=1e-12)
    assert ead(["a b c a b"], 10, orders=(1, 2)) == pytest.approx((one + two) / 2, abs=1e-12)


def test_ead_deletes_full_stops_and_newlines():
    assert ead(["The end.", "The end"], 50, orders=(1,)) == ead(["The end", "The end"], 50, orders=(1,))
    assert ead(["sun\nset here"], 50, orders=(1,)) == ead(["sunset here"], 50, orders=(1,))
    assert ead(["3.14"], 50, orders=(1,)) == ead(["314"], 50, orders=(1,))


@pytest.mark.parametrize("seed", range(6))
def test_ead_equals_brute_force(seed):
    texts = random_texts(seed)
    for vocabulary in (2, 50, 50_257):
        assert ead(texts, vocabulary) == pytest.approx(naive_ead(texts, vocabulary), abs=1e-9)


def test_ead_corner_cases():
    assert math.isnan(ead([], 100))
    assert math.isnan(ead(["", " . \n"], 100))
    assert ead(["one"], 100) == pytest.approx(1 / 5)  # orders 2 to 5 have no n-gram and count 0
    assert ead(["a a", "a a"], 1, orders=(1,)) == 1.0  # one word in the vocabulary, and it was seen
    same, other = ["a b c d e f"] * 4, ["a b c d e f", "g h i j k l", "m n o p q r", "s t u v w x"]
    assert ead(same, 1000) < 0.3 < 0.99 < ead(other, 1000) <= 1.0
    # Only the mean is clipped: all unigrams differ (above 1), all bigrams are one.
    assert ead(["a b"], 2, orders=(1,)) == 1.0
    for bad in ({"vocabulary": 0}, {"vocabulary": 5, "orders": ()}, {"vocabulary": 5, "orders": (0,)}):
        with pytest.raises(ValueError, match="at least 1"):
            ead(["a"], **bad)


def test_ead_keeps_precision_for_large_vocabularies():
    # V (1 - (1 - 1/V)^T) -> T as V grows; the naive power loses digits.
    assert ead(["a b c d"], 10**12, orders=(1,)) == pytest.approx(1.0, abs=1e-11)


def test_distinct_n():
    assert distinct_n(["a b", "a c"], 1) == 0.75
    assert distinct_n(["a b a b"], 2) == pytest.approx(2 / 3, abs=1e-15)
    assert distinct_n(["a b", "c d"], 2) == 1.0
    assert distinct_n(["a b"] * 4, 2) == 0.25
    assert math.isnan(distinct_n(["a", "b"], 2))
    assert math.isnan(distinct_n([], 1))
    assert math.isnan(distinct_n([""], 1))
    with pytest.raises(ValueError, match="at least 1"):
        distinct_n(["a"], 0)


@pytest.mark.parametrize("seed", range(4))
def test_ngrams_do_not_cross_texts(seed):
    texts = [text.split() for text in random_texts(seed, words=6)]
    for n, (ids, owner) in enumerate(ngram_ids(texts, 5), 1):
        expected = [(gram, i) for i, text in enumerate(texts) for gram in grams(text, n)]
        assert owner.tolist() == [i for _, i in expected]
        names = {}
        assert all(names.setdefault(int(k), gram) == gram for k, (gram, _) in zip(ids, expected, strict=True))
        assert len(set(names.values())) == len(names)


def test_order_of_texts_does_not_matter():
    texts = random_texts(5)
    assert ead(texts, 100) == pytest.approx(ead(texts[::-1], 100), abs=1e-12)


def test_fast_enough_for_a_study():
    rng = random.Random(0)
    texts = [" ".join(f"w{rng.randint(0, 400)}" for _ in range(60)) for _ in range(128)]
    start = time.process_time()
    ead(texts, 50_000), distinct_n(texts, 2)
    assert time.process_time() - start < 0.5  # measured 0.03 s; 100 prompts take seconds


def test_texts_without_spaces_are_read_letter_by_letter():
    unrelated = ["今天天气很好我们去公园散步", "昨天下雨我在家里看书"]
    alike = ["今天天气很好我们去公园散步", "今天天气很好我们去公园跑步"]
    assert distinct_n(unrelated, 2) == 1
    assert distinct_n(alike, 2) == distinct_n([" ".join(text) for text in alike], 2) < 0.7
    assert ead(alike, 1000) < 0.8 * ead(unrelated, 1000)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n", [1, 2, 4])
def test_self_repetition_counts_grams_that_came_before(seed, n):
    for text in random_texts(seed, words=4):
        seen, again, total = set(), 0, 0
        for gram in grams(text.split(), n):
            again, total = again + (gram in seen), total + 1
            seen.add(gram)
        np.testing.assert_allclose(self_repetition(text, n), again / total if total else np.nan, atol=1e-12)


def test_an_opening_is_a_prefix_with_that_many_words():
    for text in ("  one two\nthree  four ", "one", "", "我爱你们 Python 很"):
        for words in range(1, 8):
            begun = opening(text, words)
            assert text.startswith(begun)
            assert split_words(begun) == split_words(text)[:words]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("བོད་སྐད", ["བོ", "ད", "་", "སྐ", "ད"]),
        ("二〇〇〇年", list("二〇〇〇年")),
        ("ｶﾞｷﾞ", ["ｶﾞ", "ｷﾞ"]),
        ("ꦗꦮ", ["ꦗ", "ꦮ"]),
        ("a\u200bb", ["a", "b"]),
        ("\ufeffhi you", ["hi", "you"]),
        ("e\u0301te\u0301", ["été"]),
        ("👨\u200d👩\u200d👧 and 🇩🇪", ["👨\u200d👩\u200d👧", "and", "🇩🇪"]),
    ],
)
def test_words_of_scripts_without_spaces_and_signs_of_no_width(text, words):
    assert split_words(text) == words

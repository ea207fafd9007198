"""Lexical diversity: how many of the n-grams of all outputs are different."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int
from numpy import ndarray

UNSPACED = (
    r"\u0e00-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u3005-\u3007\u3021-\u3029\u3040-\u30ff\u31f0-\u31ff"
    r"\u3400-\u4dbf\u4e00-\u9fff\ua980-\ua9df\uaa60-\uaadf\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
"""Scripts without spaces between words (Thai to Burmese, Khmer, Tai, Javanese, kana, Chinese characters), for a class
of a pattern."""
SIGNS = (
    r"\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u0f18\u0f19\u0f35\u0f37\u0f39\u0f3e\u0f3f"
    r"\u0f71-\u0f87\u0f8d-\u0fbc\u102b-\u103e\u1056-\u1059\u105e-\u1060\u1062-\u1064\u1067-\u106d\u1071-\u1074"
    r"\u1082-\u108d\u108f\u109a-\u109d\u17b4-\u17d3\u17dd\u1a55-\u1a7f\u3099\u309a\ua980-\ua983\ua9b3-\ua9c0\uff9e\uff9f"
)
"""Signs of these scripts that belong to the letter before."""
_BLANK = r"\s\u200b\u2060\ufeff"  # those without width part words of Thai and Khmer
_SPECIAL = re.compile(rf"[{UNSPACED}\u200b\u2060\ufeff]")
_UNSEEN = ("Zs", "Zl", "Zp", "Cc", "Cf")
_WORD = re.compile(rf"[{UNSPACED}][{SIGNS}]*|[^{_BLANK}{UNSPACED}]+")


def split_words(text: str) -> list[str]:
    """Words by whitespace; in scripts without spaces between words, each letter with its signs counts as one (ours).

    Examples:
        >>> split_words("the sun set"), split_words("我爱 Python")
        (['the', 'sun', 'set'], ['我', '爱', 'Python'])
    """
    text = unicodedata.normalize("NFC", text)
    return _WORD.findall(text) if _SPECIAL.search(text) else text.split()


def is_blank(text: str) -> bool:
    r"""Whether a text shows nothing: it is empty, or only blanks, controls and signs of no width.

    Examples:
        >>> is_blank(" \t"), is_blank("👍")
        (True, False)
    """
    return all(unicodedata.category(letter) in _UNSEEN for letter in text)


def ead(texts: Sequence[str], vocabulary: int, orders: Iterable[int] = (1, 2, 3, 4, 5)) -> float:
    """Expectation-adjusted distinct n-grams (Liu et al., ACL 2022), as arXiv 2604.16027 uses it, in [0, 1].

    For each order, `U / (V (1 - ((V - 1) / V)^T))` with U different and T total n-grams pooled over the outputs: how
    many are different, relative to T uniform draws from V. Then the mean over the orders, and only then clipped.
    Words are what whitespace separates after "." and newlines are deleted (so words on either side of a lone
    newline become one), as in the authors' code; see `split_words` for scripts without spaces. An order that every text
    is too short for counts as 0 (ours): name fewer orders for answers of a few words.

    Args:
        texts: Outputs for one prompt; one output is enough, since this is a statistic of the pooled words.
        vocabulary: V, the size of the tokenizer's vocabulary.
        orders: Lengths of the n-grams.

    Returns:
        NaN where no text holds a word.

    Raises:
        ValueError: A vocabulary or an order below 1, or no orders.

    Examples:
        >>> round(ead(["a b", "a c"], vocabulary=10, orders=(1,)), 6)
        0.872347
    """
    lengths = _orders(orders)
    if vocabulary < 1:
        raise ValueError(f"vocabulary must be at least 1; got {vocabulary}")
    words = [split_words(text.replace(".", "").replace("\n", "")) for text in texts]
    pooled = ngram_ids(words, max(lengths))
    if not len(pooled[0][0]):
        return math.nan
    return min(max(math.fsum(_adjusted(pooled[n - 1][0], vocabulary) for n in lengths) / len(lengths), 0.0), 1.0)


def distinct_n(texts: Sequence[str], n: int) -> float:
    """Share of different n-grams among all n-grams of all outputs, in (0, 1] (Li et al. 2016); words by whitespace.

    It falls with the amount of text; `ead` adjusts for that.

    Returns:
        NaN where no text has n words.

    Raises:
        ValueError: n is below 1.

    Examples:
        >>> distinct_n(["a b", "a c"], 1)
        0.75
    """
    (n,) = _orders((n,))
    ids, _ = ngram_ids([split_words(text) for text in texts], n)[n - 1]
    return len(np.unique(ids)) / len(ids) if len(ids) else math.nan


def self_repetition(text: str, n: int = 4) -> float:
    """Share of the n-grams of ONE text that it has written before, in [0, 1) (seq-rep-n of Welleck et al. 2020).

    0 where no n words come again; near 1 where a text runs in a circle. Words by whitespace.

    Returns:
        NaN where the text has no n words.

    Raises:
        ValueError: n is below 1.

    Examples:
        >>> self_repetition("a b a b a b", n=2)  # a b, b a, a b, b a, a b: two are new
        0.6
    """
    return 1 - distinct_n([text], n)


def opening(text: str, words: int) -> str:
    """The text up to the end of its first `words` words, by whitespace as in `split_words`.

    Examples:
        >>> opening("Once upon a time, there was", 3)
        'Once upon a'
    """
    ends = [found.end() for found in _WORD.finditer(text)]
    return text[: ends[words - 1]] if len(ends) > words else text


def ngram_ids(
    texts: Sequence[Sequence[str]], order: int
) -> list[tuple[Int[ndarray, " ngram"], Int[ndarray, " ngram"]]]:
    """Every n-gram of every text as a small number, for n = 1 ... order.

    Args:
        texts: Words of each text.
        order: Longest n-gram.

    Returns:
        For each n: a number for each n-gram (equal numbers, equal n-grams) and the text it stands in, text by text.
    """
    known: dict[str, int] = {}
    words = np.array([known.setdefault(word, len(known)) for text in texts for word in text], dtype=np.int64)
    owner = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    starts = np.arange(len(words))
    found = [(words, owner)]
    ids = words
    for n in range(2, order + 1):
        if len(starts):
            last = starts + n - 1
            kept = last < len(words)
            kept[kept] = owner[starts[kept]] == owner[last[kept]]  # n-grams do not reach into the next text
            starts, ids = starts[kept], ids[kept]
            pairs = ids * len(known) + words[starts + n - 1]  # a longer n-gram is a shorter one and its next word
            ids = np.unique(pairs, return_inverse=True)[1].reshape(-1).astype(np.int64)
        found.append((ids, owner[starts]))
    return found


def _adjusted(ids: Int[ndarray, " ngram"], vocabulary: int) -> float:
    if not len(ids):
        return 0.0
    if vocabulary == 1:
        return float(len(np.unique(ids)))
    expected = -vocabulary * math.expm1(len(ids) * math.log1p(-1 / vocabulary))
    return len(np.unique(ids)) / expected


def _orders(orders: Iterable[int]) -> tuple[int, ...]:
    lengths = tuple(orders)
    if not lengths or min(lengths) < 1:
        raise ValueError(f"n-grams need orders of at least 1; got {lengths}")
    return lengths

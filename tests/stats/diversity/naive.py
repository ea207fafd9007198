"""Texts and n-grams for tests, the plain way."""

from __future__ import annotations

import random


def grams(words, n):
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def random_texts(seed, count=12, words=30, alphabet=8):
    rng = random.Random(seed)
    return [
        " ".join(rng.choice("abcdefghijklm"[:alphabet]) for _ in range(rng.randint(1, words))) for _ in range(count)
    ]

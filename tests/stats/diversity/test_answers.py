"""Entropy and numbers of answers, pass@k and majority votes: hand-computed and by enumeration."""

from __future__ import annotations

import math
from itertools import combinations

import pytest

from slr_probe.stats.diversity import (
    answer_entropy,
    distinct_answers,
    distinct_answers_at,
    majority_accuracy,
    majority_gain,
    pass_at_k,
)


def test_entropy():
    assert answer_entropy(["a", "b", "c", "d"]) == pytest.approx(math.log(4), abs=1e-12)
    assert answer_entropy(["a"] * 5) == 0.0
    assert answer_entropy(["a", "a", "a", "b"]) == pytest.approx(
        -0.75 * math.log(0.75) - 0.25 * math.log(0.25), abs=1e-12
    )
    assert answer_entropy(["a", None, "b", None]) == pytest.approx(math.log(2), abs=1e-12)
    assert math.isnan(answer_entropy([]))
    assert math.isnan(answer_entropy([None, None]))


def test_distinct():
    assert distinct_answers(["a", "b", "a", None]) == 2
    assert distinct_answers([None]) == distinct_answers([]) == 0


ANSWERS = ["a", "a", "a", "b", "b", "c", None]


@pytest.mark.parametrize("k", range(8))
def test_distinct_at_equals_enumeration(k):
    every = [len({answer for answer in chosen if answer is not None}) for chosen in combinations(ANSWERS, k)]
    assert distinct_answers_at(ANSWERS, k) == pytest.approx(sum(every) / len(every), abs=1e-12)


def test_distinct_at_corner_cases():
    assert math.isnan(distinct_answers_at(ANSWERS, 8))
    assert distinct_answers_at(["a"] * 128, 64) == 1.0
    assert distinct_answers_at(list(range(128)), 64) == pytest.approx(64, abs=1e-9)
    with pytest.raises(ValueError, match="0 or more"):
        distinct_answers_at(ANSWERS, -1)


@pytest.mark.parametrize(("n", "c"), [(6, 0), (6, 1), (6, 3), (6, 6)])
@pytest.mark.parametrize("k", [0, 1, 2, 5, 6])
def test_pass_at_k_equals_enumeration(n, c, k):
    every = [any(i < c for i in chosen) for chosen in combinations(range(n), k)]
    assert pass_at_k(n, c, k) == pytest.approx(sum(every) / len(every), abs=1e-12)


def test_pass_at_k_corner_cases():
    assert math.isnan(pass_at_k(4, 2, 5))
    assert pass_at_k(10_000, 1, 100) == pytest.approx(0.01, abs=1e-12)
    for n, c, k in ((4, 5, 1), (4, -1, 1), (4, 1, -1)):
        with pytest.raises(ValueError, match="pass@k"):
            pass_at_k(n, c, k)


def test_majority():
    assert majority_accuracy(["4", "4", "5"], [True, True, False]) == 1.0
    assert majority_gain(["4", "4", "5"], [True, True, False]) == pytest.approx(1 / 3, abs=1e-12)
    assert majority_gain(["5", "5", "4"], [False, False, True]) == pytest.approx(-1 / 3, abs=1e-12)


def test_ties_share():
    assert majority_accuracy(["4", "5"], [True, False]) == 0.5
    assert majority_accuracy(["4", "5", "6"], [True, False, False]) == pytest.approx(1 / 3, abs=1e-12)
    assert majority_gain(["4", "5"], [True, False]) == 0.0


def test_who_cannot_be_read_does_not_vote():
    assert majority_accuracy([None, None, "4"], [False, False, True]) == 1.0
    assert majority_accuracy([None, None], [False, False]) == 0.0
    assert math.isnan(majority_accuracy([], []))
    assert math.isnan(majority_gain([], []))
    with pytest.raises(ValueError, match="one verdict"):
        majority_gain(["4"], [True, False])

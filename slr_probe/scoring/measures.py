"""What each group of metrics measures on the outputs of one model: one number a prompt, NaN where it is undefined.

Diversity is that of the outputs that say something, and needs two of them; how many are empty is a number of its own.
Otherwise a model that is silent half of the time would look diverse (ours).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.scoring.inputs import ScoringInputs
from slr_probe.stats.diversity import (
    agreement,
    answer_entropy,
    distinct_answers,
    distinct_answers_at,
    distinct_n,
    ead,
    embedding_distance,
    majority_accuracy,
    majority_gain,
    nli_diversity,
    opening,
    pass_at_k,
    self_bleu,
    self_repetition,
    vendi_score,
)
from slr_probe.stats.diversity.lexical import is_blank, split_words
from slr_probe.stats.diversity.semantic import as_float64

Scores = dict[str, Float[ndarray, " prompt"]]
OPENING = 15
"""Words at the beginning of an output that are also compared by themselves: they are not confounded by texts that run
on, and repeat themselves, until the limit of tokens (ours)."""
_ASKED_AT_ONCE = 8  # outputs that a judge behind a network is asked about at a time


def measure_text(inputs: ScoringInputs, vocabulary: int | None) -> Scores:
    """Diversity of words, and what the task says of the answers.

    Args:
        inputs: The outputs.
        vocabulary: Size of the tokenizer's vocabulary, which EAD is relative to; None leaves EAD out.
    """
    return _columns([_text_row(inputs, i, vocabulary) for i in range(len(inputs))])


def _text_row(inputs: ScoringInputs, at: int, vocabulary: int | None) -> dict[str, float]:
    texts = inputs.texts[at]
    row = _lexical(texts, vocabulary)
    row["empty"] = 1 - len(inputs.written(at)) / len(texts)
    row["ended"] = float(np.mean(inputs.ended[at]))
    row["words"] = float(np.mean([len(split_words(text)) for text in texts]))
    row["self_repetition"] = _mean(np.array([self_repetition(text) for text in texts]))
    correct = inputs.correct(at)
    if correct is not None:
        kept = _lexical([text for text, right in zip(texts, correct, strict=True) if right], vocabulary)
        row |= {f"{name}_correct": value for name, value in kept.items() if name != "distinct_2"}
        row |= _answers(inputs, at, correct)
    follows = inputs.follows(at)
    if follows is not None:
        row["follows"] = float(np.mean(follows))
    return row


def _lexical(texts: Sequence[str], vocabulary: int | None) -> dict[str, float]:
    several = sum(not is_blank(text) for text in texts) >= 2
    found = {} if vocabulary is None else {"ead": ead(texts, vocabulary) if several else math.nan}
    found["distinct_2"] = distinct_n(texts, 2) if several else math.nan
    found["bleu_distance"] = 1 - self_bleu(texts) if several else math.nan
    return found


def _answers(inputs: ScoringInputs, at: int, correct: Sequence[bool]) -> dict[str, float]:
    answers, accepted = inputs.answers(at) or [], inputs.accepted(at)
    n, right = len(correct), sum(correct)
    found = {
        "correct": right / n,
        "pass_at_k": pass_at_k(n, right, max(1, n // 2)),
        "majority_gain": majority_gain(answers, correct),
        "answer_entropy": answer_entropy(answers) if n >= 2 else math.nan,
        "agreed": agreement(answers) if n >= 2 else math.nan,
        "majority": majority_accuracy(answers, correct),
    }
    if accepted is not None:
        found["distinct_correct"] = float(distinct_answers(accepted)) if n >= 2 else math.nan
    return found


def answer_curve(inputs: ScoringInputs, at: Sequence[int]) -> Float[ndarray, "k prompt"]:
    """Expected distinct accepted answers among k outputs, for each k and prompt; NaN without accepted answers."""
    found = np.full((len(at), len(inputs)), np.nan)
    for i in range(len(inputs)):
        accepted = inputs.accepted(i)
        if accepted is not None:
            found[:, i] = [distinct_answers_at(accepted, k) if k <= len(accepted) else math.nan for k in at]
    return found


def measure_embedding(inputs: ScoringInputs, embedder: Any) -> Scores:
    """Distances of the texts' vectors and of their first words', and how many texts the encoder does not read whole.

    Each different text is embedded once. The share is left out where the encoder has no `cuts(texts)`.
    """
    written = [[inputs.texts[i][k] for k in inputs.written(i)] for i in range(len(inputs))]
    begun = [[opening(text, OPENING) for text in texts] for texts in written]
    unique = list(dict.fromkeys(text for texts in (*written, *begun) for text in texts))
    place = {text: row for row, text in enumerate(unique)}
    vectors, _ = as_float64(embedder(unique) if unique else np.zeros((0, 1)))
    cuts = np.asarray(embedder.cuts(unique), dtype=np.float64) if hasattr(embedder, "cuts") else None

    def distance(texts: Sequence[str]) -> float:
        return embedding_distance(vectors[[place[text] for text in texts]]) if len(texts) >= 2 else math.nan

    rows = []
    for i, texts in enumerate(written):
        own = [place[text] for text in texts]
        row = {
            "embedding_distance": distance(texts),
            "opening_distance": distance(begun[i]),
            "vendi": vendi_score(vectors[own]) if len(own) >= 2 else math.nan,
        }
        if cuts is not None:
            row["embedding_cut"] = _mean(cuts[own])
        correct = inputs.correct(i)
        if correct is not None:
            good = [inputs.texts[i][k] for k in inputs.written(i) if correct[k]]
            row["embedding_distance_correct"] = distance(good)
        rows.append(row)
    return _columns(rows)


def measure_nli(inputs: ScoringInputs, entailment: Any) -> Scores:
    """How far the texts contradict each other."""
    written = [[texts[k] for k in inputs.written(i)] for i, texts in enumerate(inputs.texts)]
    found = [nli_diversity(entailment.matrix(texts)) if len(texts) >= 2 else math.nan for texts in written]
    return {"nli": np.array(found)}


def measure_fluency(inputs: ScoringInputs, fluency: Any) -> Scores:
    """Negative log-likelihood a token under a language model."""
    values = np.asarray(fluency(*inputs.flat), dtype=np.float64)
    return {"nll": np.array([_mean(part) for part in inputs.split(values)])}


def measure_judge(inputs: ScoringInputs, judge: Any) -> Scores:
    """Mean score of a judge, and how many outputs it failed on."""
    from slr_probe.judges import judge_all

    workers = _ASKED_AT_ONCE if hasattr(judge, "url") else 1
    parts = inputs.split(judge_all(judge, *inputs.flat, workers=workers, progress=False))
    missing = [float(np.isnan(part).sum()) for part in parts]
    return {"judge": np.array([_mean(part) for part in parts]), "judge_missing": np.array(missing)}


def _mean(values: Float[ndarray, " text"]) -> float:
    """Mean of the values that are there."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def _columns(rows: Sequence[Mapping[str, float]]) -> Scores:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: np.array([row.get(name, math.nan) for row in rows], dtype=np.float64) for name in names}

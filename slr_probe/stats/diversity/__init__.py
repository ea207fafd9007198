"""How different the outputs for ONE prompt are: pure functions on texts, vectors or answers.

All are averaged over prompts by the caller. What is undefined (most often: fewer than two outputs) is NaN, and each
function says when; nothing is silently scored 0. Lexical and semantic measures can disagree (arXiv 2604.16027: EAD can
rise while meaning collapses), so report both.
"""

from slr_probe.stats.diversity.answers import (
    agreement,
    answer_entropy,
    distinct_answers,
    distinct_answers_at,
    majority_accuracy,
    majority_gain,
    pass_at_k,
)
from slr_probe.stats.diversity.bleu import self_bleu
from slr_probe.stats.diversity.lexical import distinct_n, ead, opening, self_repetition
from slr_probe.stats.diversity.semantic import embedding_distance, nli_diversity, vendi_from_gram, vendi_score

__all__ = [
    "agreement",
    "answer_entropy",
    "distinct_answers",
    "distinct_answers_at",
    "distinct_n",
    "ead",
    "embedding_distance",
    "majority_accuracy",
    "majority_gain",
    "nli_diversity",
    "opening",
    "pass_at_k",
    "self_bleu",
    "self_repetition",
    "vendi_from_gram",
    "vendi_score",
]

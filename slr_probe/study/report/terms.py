"""The words of the page, explained: those that a study of this kind uses, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slr_probe.study.folder import Findings

_MODELS = {
    "Base and tuned": "The model before post-training and after it: same architecture, other weights.",
    "Block": "One decoder layer, counted from 0. A range 2:5 is blocks 2, 3 and 4.",
}
_RANKING = {
    "Hybrid": "Tuned with the weights of some blocks set back to base’s; “restoring” a range means that.",
    "CRC": "Constrained random character: prompts that ask for a random choice out of a known set, such as a letter. "
    "The probabilities of the next token are the answer, so nothing is sampled.",
    "Validity": "Probability that the answer is one of the set, from 0 to 1.",
    "Diversity": "How evenly the valid answers share that probability: their entropy as a share of the largest "
    "possible, log |V| for a set V of answers. 1 is a fair die, 0 always the same answer.",
    "Floor": "The share of tuned’s validity that a range must keep to be chosen.",
    "Selection and held-out prompts": "The choice is made on the first and judged on the second.",
    "Early, late, random": "Controls: the first blocks, the last, and blocks drawn at random, as many as are restored.",
    "Soup": "All weights of base and tuned averaged in one proportion, the simplest rival of restoring a range. "
    "“Soup 0.3” is 0.7 base + 0.3 tuned.",
    "Pareto front": "The ranges that no other range beats in validity and in diversity at once.",
    "p(best)": "Share of bootstrap resamples in which a range is the one that would be chosen.",
}
_DEPTH = {
    "Logit lens": "What the model would answer if it stopped after a block: its state there, read by the final norm "
    "and head.",
    "Entropy, nats": "Spread of a distribution over the vocabulary: 0 is certainty, and each 0.69 nats doubles the "
    "number of equally likely answers.",
    "Patching": "Activations of one model are put into the other at the answer position, one block at a time; what "
    "changes is caused there.",
}
_TEXT = {
    "T": "Temperature of sampling; higher is more random.",
    "Base (plain)": "Base on prompts without a chat format, as it was trained.",
}
_STATISTICS = {
    "Interval": "Bootstrap interval over prompts: where the number may lie for other prompts of the same kind.",
    "Adjusted p": "P-value of a paired test of a difference, made larger by Holm’s method for the number of "
    "comparisons. A difference is confirmed where interval and test agree.",
}
METRICS = {
    "ead": (
        "EAD",
        "Expectation-adjusted distinct n-grams: how many different word sequences the samples of a prompt have, "
        "beside how many would be expected for their length.",
    ),
    "distinct_2": ("distinct-2", "Share of word pairs in the samples of a prompt that are different."),
    "bleu_distance": ("1 − self-BLEU", "How little the samples of a prompt share word sequences, from 0 to 1."),
    "embedding_distance": ("Embedding distance", "How far apart the samples of a prompt are in meaning."),
    "distinct_correct": ("Distinct accepted answers", "Different right answers among the samples of a prompt."),
    "correct": ("Correct", "Share of samples with a right answer."),
    "judge": ("Judge", "Score of a sample by another model."),
    "follows": ("Follows the instruction", "Share of samples that do what was asked, by rules on their form."),
}
"""Measures of text that verdicts may be about, by name."""


def terms(found: Findings) -> dict[str, str]:
    """What each term of art in the page means."""
    report, said = found.validation, dict(_MODELS)
    said |= _RANKING if found.ranking is not None else {}
    said |= _DEPTH if found.lens is not None or found.patching is not None else {}
    if report is not None:
        used = {name for pair in report.primary for name in pair}
        said |= {term: words for name, (term, words) in METRICS.items() if name in used}
        said |= _TEXT
    return said | (_STATISTICS if found.ranking is not None or report is not None else {})

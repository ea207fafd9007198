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
    "Guards": "Bounds on how a range deals with whole replies of tuned, which a task of one answer cannot see. Ending: "
    "it ends them as likely as tuned. Surprise: it is not much more surprised by their words. Drift: how far its next "
    "tokens are from tuned’s.",
    "Spread": "A second diversity: entropy of the first tokens of replies to open prompts.",
    "Interaction": "What restoring early and late blocks together brings beyond the sum of both; 0 where they add up.",
    "Order and shape": "A change of order ranks the answers otherwise among all tokens, a change of shape spreads the "
    "probability otherwise over the answers.",
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
_CALIBRATION = {
    "Calibration error (ECE)": "How far confidence is from accuracy, over prompts in ten bins: the answer is the "
    "majority’s, its confidence the share of samples that agree. Less is better where one answer is right. Where many "
    "are, it counts diversity as miscalibration: a model that spreads its samples over right answers agrees with "
    "itself less often than it is right.",
}
_RIVALS = {
    "verbalized": (
        "Verbalized sampling",
        "A rival that needs no other weights: the prompt asks for five replies with their probabilities, which take "
        "the place of five samples.",
    ),
    "string_seed": (
        "String seed of thought",
        "A rival that needs no other weights: the prompt asks for a random string first, from which the model derives "
        "its reply.",
    ),
    "routing": (
        "Routing",
        "A rival that needs both models: they write one text, and base draws the tokens that it is unsure of.",
    ),
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
        used = {name for pair in report.primary for name in pair} | set(report.kinds)
        said |= {term: words for name, (term, words) in (METRICS | _RIVALS).items() if name in used}
        said |= _CALIBRATION if any(report.calibration(task) is not None for task in report.tasks) else {}
        said |= _TEXT
    return said | (_STATISTICS if found.ranking is not None or report is not None else {})


def glossary() -> dict[str, str]:
    """All terms, for the manual."""
    text = dict((METRICS | _RIVALS).values()) | _CALIBRATION | _TEXT
    return _MODELS | _RANKING | _DEPTH | text | _STATISTICS

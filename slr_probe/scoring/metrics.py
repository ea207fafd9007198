"""What is measured on the outputs of a model, by name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from slr_probe.tasks.text import TextTask

Role = Literal["diversity", "quality", "correct only", "own", "record"]


@dataclass(frozen=True)
class Metric:
    """One number for each prompt, from its K outputs.

    Attributes:
        name: Key in score tables.
        label: What figures and tables call it, with its unit.
        role: `"diversity"`, `"quality"`, `"correct only"` (diversity of the correct outputs alone), `"own"` (of the
            user's), or `"record"` (how the numbers came about; never compared).
        sign: 1 where more is better, -1 where less is.
        printed: Whether printed tables show it beside the primary metrics.
    """

    name: str
    label: str
    role: Role
    sign: int = 1
    printed: bool = False


_ALL = (
    Metric("ead", "EAD", "diversity", printed=True),
    Metric("distinct_2", "distinct-2", "diversity"),
    Metric("bleu_distance", "1 - self-BLEU", "diversity", printed=True),
    Metric("embedding_distance", "embedding distance", "diversity", printed=True),
    Metric("opening_distance", "embedding distance, first 15 words", "diversity", printed=True),
    Metric("vendi", "Vendi score", "diversity"),
    Metric("nli", "NLI diversity", "diversity"),
    Metric("distinct_correct", "distinct accepted answers", "diversity"),
    Metric("answer_entropy", "answer entropy (nats)", "diversity", printed=True),
    Metric("correct", "correct (share)", "quality"),
    Metric("pass_at_k", "pass@k, k = half the samples", "quality", printed=True),
    Metric("majority_gain", "majority vote - mean correct", "quality"),
    Metric("follows", "follows the instruction (share)", "quality"),
    Metric("ended", "ended by itself (share)", "quality", printed=True),
    Metric("self_repetition", "repeats itself (share of 4-grams)", "quality", -1, printed=True),
    Metric("nll", "fluency: NLL (nats a token)", "quality", -1, printed=True),
    Metric("judge", "judge", "quality"),
    Metric("ead_correct", "EAD, correct outputs", "correct only"),
    Metric("bleu_distance_correct", "1 - self-BLEU, correct outputs", "correct only"),
    Metric("embedding_distance_correct", "embedding distance, correct outputs", "correct only"),
    Metric("empty", "empty outputs (share)", "record"),
    Metric("embedding_cut", "longer than the encoder reads (share)", "record"),
    Metric("words", "words in an output", "record"),
    Metric("agreed", "samples that agree with the majority (share)", "record"),
    Metric("majority", "majority vote correct", "record"),
    Metric("judge_missing", "judge's missing scores", "record"),
)
METRICS = {metric.name: metric for metric in _ALL}
ORDER = tuple(METRICS)
SPREAD = ("embedding_distance", "ead", "distinct_2", "bleu_distance")
"""Metrics of how different any texts are. The first that was measured speaks for all (ours)."""


SCORE = "score: "
"""What stands before the name of a score that a log of others brought along; more counts as better."""


def metric(name: str) -> Metric:
    """A metric by name; an unknown one counts as diversity under its own name (tables from elsewhere)."""
    if name.startswith(SCORE):
        return Metric(name, name.removeprefix(SCORE), "quality", printed=True)
    return METRICS.get(name, Metric(name, name, "diversity"))


def ordered(names: Collection[str]) -> tuple[str, ...]:
    """Names in the order of tables: known ones first, others by name."""
    return (*(name for name in ORDER if name in names), *sorted(name for name in names if name not in METRICS))


def primary_metrics(task: TextTask, names: Collection[str]) -> tuple[str, str]:
    """The one diversity and the one quality metric of a task that verdicts are about.

    The choice depends on the task and on which models the user named, never on a result (ours): how many distinct
    accepted answers there are where most items accept several; else embedding distance, or EAD without an
    embedding model. Quality is correctness where it can be verified, else the judge's score, else following the
    instruction.
    """
    several = sum(len(item.answers) > 1 for item in task.items) * 2 > len(task.items)
    wanted: Sequence[str] = ("distinct_correct",) if several else SPREAD
    diversity = next((name for name in wanted if name in names), "distinct_2")
    best: Sequence[str] = ("correct",) if task.verifiable else ("judge",)
    return diversity, next((name for name in best if name in names), "follows")


def first_metrics(names: Collection[str]) -> tuple[str, ...]:
    """The same for texts without a task, where there are such metrics.

    Quality is the judge's score, else the first score of the log, else how often outputs end.
    """
    diversity = [name for name in SPREAD if name in names]
    scores = [name for name in ordered(names) if name.startswith(SCORE)]
    quality = [name for name in ("judge", *scores, "ended") if name in names]
    return (*diversity[:1], *quality[:1])

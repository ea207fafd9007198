"""What models write on prompts that no choice was made on, as outcomes: one number a model and prompt."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.defaults import MIN_P
from slr_probe.generation import Sampling
from slr_probe.scoring.answering import answer, asked_of
from slr_probe.scoring.measures import Scores
from slr_probe.scoring.scoring import score_outputs
from slr_probe.scoring.tasks import Size, resize
from slr_probe.tasks.builtin import qa_task, size_for, writing_task
from slr_probe.tasks.text import TextTask

if TYPE_CHECKING:
    from slr_probe.generation import Outputs
    from slr_probe.pair import ModelPair
    from slr_probe.recipe import Recipe

OUTCOMES = {
    ("qa", "ended"): "answers: ended",
    ("qa", "distinct_correct"): "answers: distinct and accepted",
    ("qa", "correct"): "answers: correct",
    ("writing", "ended"): "stories: ended",
    ("writing", "embedding_distance"): "stories: embedding distance",
    ("writing", "opening_distance"): "stories: the same, first 15 words",
    ("writing", "self_repetition"): "stories: repeat themselves",
    ("writing", "follows"): "stories: instruction followed",
}
"""What is looked at in answers to open questions, and in stories, poems and jokes; by family and metric."""


@dataclass(frozen=True)
class Writer:
    """A recipe at a temperature.

    Attributes:
        name: What tables call it.
        recipe: Where its weights come from.
        temperature: At which it writes.
    """

    name: str
    recipe: Recipe
    temperature: float = 1.0


@dataclass(frozen=True)
class Sizes:
    """How much is written.

    Attributes:
        questions: Open questions.
        stories: Writing prompts.
        samples: Outputs a prompt.
        answer_tokens: Tokens of an answer.
        story_tokens: Tokens of a story.
    """

    questions: int
    stories: int
    samples: int
    answer_tokens: int
    story_tokens: int


def fresh_tasks(pair: ModelPair, sizes: Sizes, seed: int = 0, *, share: float = 0.5) -> dict[str, TextTask]:
    """Some of the open questions and writing prompts, by default of a half; no range is chosen by any of them."""
    size = size_for(pair)
    asked = {
        "qa": (qa_task(size), Size(sizes.questions, sizes.samples, sizes.answer_tokens)),
        "writing": (writing_task(size), Size(sizes.stories, sizes.samples, sizes.story_tokens)),
    }
    parts = {family: task if share == 1 else task.split(1 - share, seed)[1] for family, (task, _) in asked.items()}
    return {family: resize(parts[family], cut, seed) for family, (_, cut) in asked.items()}


def write_outputs(
    pair: ModelPair,
    writers: Sequence[Writer],
    tasks: Mapping[str, TextTask],
    folder: Path,
    until: float,
    *,
    seed: int = 0,
    **options: Any,
) -> dict[str, list[Outputs | None]]:
    """Let every writer answer every prompt, task by task; what an earlier call wrote is read.

    Args:
        pair: The pair.
        writers: What writes.
        tasks: The prompts, by family.
        folder: Where outputs are kept.
        until: When to stop, on the clock of `time.monotonic`; a writer that has begun is let finish.
        seed: Seed of the sampling.
        **options: Further options of `generate`.

    Returns:
        Outputs by family, in the order of the writers; None where there was no time left.
    """
    found: dict[str, list[Outputs | None]] = {family: [None] * len(writers) for family in tasks}
    for family, task in tasks.items():
        for number, writer in enumerate(writers):
            if time.monotonic() > until:
                return found
            sampling = Sampling(temperature=writer.temperature, min_p=MIN_P, seed=seed)
            place = folder / f"T{writer.temperature:g}" / family
            asked = asked_of(task, {writer.name: writer.recipe}, sampling, place)
            outputs = answer(pair, asked, **options)
            found[family][number] = outputs[writer.name]
    return found


def outcomes(
    tasks: Mapping[str, TextTask], written: Mapping[str, Sequence[Outputs | None]], vocabulary: int, embedder: Any
) -> dict[str, Float[ndarray, "writer prompt"]]:
    """Outcomes by what they are called; NaN where outputs of too little text, or that are not there, have none."""
    scores: dict[str, list[Scores]] = {}
    for family, task in tasks.items():
        nothing = np.full(len(task.items), np.nan)
        missing = {name: nothing for of, name in OUTCOMES if of == family}
        scores[family] = [
            missing if one is None else score_outputs(task, one, vocabulary=vocabulary, embedder=embedder)
            for one in written[family]
        ]
    return {label: np.stack([score[name] for score in scores[family]]) for (family, name), label in OUTCOMES.items()}

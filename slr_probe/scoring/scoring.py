"""`score_outputs`: from what a model wrote to one number a prompt and metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.errors import ValidationError
from slr_probe.files import digest
from slr_probe.stats.diversity import (
    answer_entropy,
    distinct_answers,
    distinct_answers_at,
    distinct_n,
    ead,
    embedding_distance,
    majority_gain,
    nli_diversity,
    pass_at_k,
    self_bleu,
    vendi_score,
)
from slr_probe.tasks.text import Item, TextTask
from slr_probe.tasks.thinking import THINK, strip_thinking

if TYPE_CHECKING:
    from slr_probe.generation import Outputs

Tags = Sequence[tuple[str, str]]
Scores = dict[str, Float[ndarray, " prompt"]]
_ASKED_AT_ONCE = 8  # outputs that a judge behind a network is asked about at a time
_MODELS = {"embedding": "embedder", "nli": "entailment", "fluency": "fluency", "judge": "judge"}
VERSION = 1
"""Goes up whenever a metric changes, so that cached scores of an older version are not used."""


@dataclass(frozen=True)
class Scorers:
    """The models that score, and what the metrics depend on.

    Attributes:
        vocabulary: Size of the tokenizer's vocabulary, for EAD; None leaves EAD out.
        embedder: Texts to unit vectors `[n, dim]`; adds embedding distance and Vendi score.
        entailment: Its `matrix(texts)` is P(entail) - P(contradict) of all ordered pairs `[K, K]`; adds NLI diversity.
        fluency: `(prompts, texts)` to negative log-likelihoods a token; adds NLL.
        judge: `(prompt, text)` to a score, or None where it failed; adds the judge's mean.
        tags: Tags whose content is taken out of every text first.
    """

    vocabulary: int | None = None
    embedder: Any = None
    entailment: Any = None
    fluency: Any = None
    judge: Any = None
    tags: Tags = (THINK,)

    @property
    def groups(self) -> dict[str, Callable[[Questions], Scores]]:
        """What will be measured: each group can be measured, and remembered, by itself."""
        models = {
            "embedding": (self.embedder, _embedding),
            "nli": (self.entailment, _nli),
            "fluency": (self.fluency, _fluency),
            "judge": (self.judge, _judge),
        }
        found: dict[str, Callable[[Questions], Scores]] = {"text": lambda asked: _text(asked, self.vocabulary)}
        for name, (model, measure) in models.items():
            if model is not None:
                found[name] = lambda asked, model=model, measure=measure: measure(asked, model)  # type: ignore[misc]
        return found

    @cached_property
    def records(self) -> dict[str, Any]:
        """What is recorded of each scoring model: its own description, else its name; not how it failed."""
        return {name: _record(getattr(self, name)) for name in _MODELS.values()}

    def key(self, group: str, task: TextTask | None, outputs: Outputs) -> str | None:
        """Hash of all that the scores of one group depend on: the texts, the task, the scoring model, the version.

        None where the scoring model does not say what it is: two functions may be called the same.
        """
        model = getattr(self, _MODELS[group]) if group in _MODELS else None
        if model is not None and not _known(model):
            return None
        data = {
            "version": VERSION,
            "group": group,
            "vocabulary": self.vocabulary if group == "text" else None,
            "model": self.records.get(_MODELS.get(group, "")),
            "tags": [list(pair) for pair in self.tags],
            "items": None if task is None else [asdict(item) for item in task.items],
            "ids": outputs.ids,
            "texts": outputs.texts,
            "ended": outputs.finished,
        }
        return digest(data)


@dataclass(frozen=True)
class Questions:
    """Outputs as the metrics see them.

    Attributes:
        prompts: The user messages, as the task has them.
        texts: Outputs of each prompt, without marked reasoning.
        ended: Whether each output ended by itself and was not cut at the limit of tokens.
        items: The item of each prompt; None without a task.
        task: The task.
    """

    prompts: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    ended: tuple[tuple[bool, ...], ...]
    items: tuple[Item | None, ...]
    task: TextTask | None

    @classmethod
    def of(cls, task: TextTask | None, outputs: Outputs, tags: Tags = (THINK,)) -> Questions:
        """Match outputs with the items of a task.

        Raises:
            ValidationError: A prompt is not in the task, or has no output at all.
        """
        known = {} if task is None else {item.id: item for item in task.items}
        strange = [name for name in outputs.ids if task is not None and name not in known]
        if task is not None and strange:
            raise ValidationError(
                f"outputs of '{outputs.model}' answer prompt {strange[0]!r}, which is not in the task '{task.name}'"
            )
        empty = [name for name, texts in zip(outputs.ids, outputs.texts, strict=True) if not texts]
        if empty or not outputs.ids:
            where = f"for prompt {empty[0]!r}" if empty else "for any prompt"
            raise ValidationError(f"'{outputs.model}' has no outputs {where}; generate at least one, better 8 or more")
        items = tuple(known.get(name) for name in outputs.ids)
        prompts = tuple(item.prompt if item else p for item, p in zip(items, outputs.prompts, strict=True))
        stripped = tuple(tuple(_strip(text, tags) for text in texts) for texts in outputs.texts)
        return cls(prompts, stripped, outputs.finished, items, task)

    @property
    def flat(self) -> tuple[list[str], list[str]]:
        """Prompt and text of every output."""
        pairs = [(p, text) for p, texts in zip(self.prompts, self.texts, strict=True) for text in texts]
        return [prompt for prompt, _ in pairs], [text for _, text in pairs]

    def split(self, values: Float[ndarray, " output"]) -> list[Float[ndarray, " text"]]:
        """Values of all outputs, prompt by prompt."""
        return np.split(values, np.cumsum([len(texts) for texts in self.texts])[:-1])

    def correct(self, at: int) -> list[bool] | None:
        """Whether each output of a prompt is correct; None where it has no accepted answers."""
        item, task = self.items[at], self.task
        if item is None or task is None or not item.answers:
            return None
        return [bool(task.correct(item, text)) for text in self.texts[at]]


def score_outputs(
    task: TextTask | None,
    outputs: Outputs,
    *,
    vocabulary: int | None,
    embedder: Any = None,
    entailment: Any = None,
    fluency: Any = None,
    judge: Any = None,
    tags: Tags = (THINK,),
) -> Scores:
    """Score what one model wrote, prompt by prompt; means over prompts are up to the caller.

    Args:
        task: Whose items say what is correct and what follows the instruction; None for texts alone.
        outputs: What the model wrote.
        vocabulary: Size of the tokenizer's vocabulary, which EAD is relative to; None leaves EAD out.
        embedder: Adds embedding distance and Vendi score.
        entailment: Adds NLI diversity.
        fluency: Adds mean negative log-likelihood a token, over the outputs of a prompt that are not empty.
        judge: Adds the mean of its scores; outputs that it failed on are left out and counted in `judge_missing`.
        tags: Opening and closing tags of reasoning that is taken out first; `()` for none.

    Returns:
        For each metric one number a prompt, NaN where it is undefined. Diversity of a prompt with one output is
        undefined, and so is diversity among correct outputs where there are fewer than two.

    Raises:
        ValidationError: A prompt without outputs, or one that is not in the task.
    """
    scorers = Scorers(vocabulary, embedder, entailment, fluency, judge, tags)
    asked = Questions.of(task, outputs, tags)
    found: Scores = {}
    for measure in scorers.groups.values():
        found |= measure(asked)
    return found


def distinct_curve(
    task: TextTask, outputs: Outputs, at: Sequence[int], tags: Tags = (THINK,)
) -> Float[ndarray, "k prompt"]:
    """Expected distinct accepted answers among k outputs, for each k and prompt; NaN without accepted answers."""
    asked = Questions.of(task, outputs, tags)
    found = np.full((len(at), len(asked.texts)), np.nan)
    for i in range(len(asked.texts)):
        accepted = _accepted(asked, i)
        if accepted is not None:
            found[:, i] = [distinct_answers_at(accepted, k) if k <= len(accepted) else math.nan for k in at]
    return found


def _record(model: Any) -> Any:
    if hasattr(model, "describe"):
        return {key: value for key, value in model.describe().items() if "failure" not in key}
    return None if model is None else str(getattr(model, "name", None) or getattr(model, "__name__", type(model)))


def _known(model: Any) -> bool:
    """Whether a scoring model has a description, or a name that someone gave it."""
    return hasattr(model, "describe") or getattr(model, "name", None) not in (None, "", "<lambda>")


def _text(asked: Questions, vocabulary: int | None) -> Scores:
    rows: list[dict[str, float]] = []
    for i, texts in enumerate(asked.texts):
        correct = asked.correct(i)
        row = _lexical(texts, vocabulary, "")
        row["ended"] = float(np.mean(asked.ended[i]))
        row["words"] = float(np.mean([len(text.split()) for text in texts]))
        if correct is not None:
            good = [text for text, right in zip(texts, correct, strict=True) if right]
            kept = _lexical(good, vocabulary, "_correct")
            row |= {name: value for name, value in kept.items() if not name.startswith("distinct")}
            row |= _answers(asked, i, correct)
        item = asked.items[i]
        if item is not None and asked.task is not None:
            row["follows"] = float(np.mean([asked.task.follows(item, text) for text in texts]))
        rows.append(row)
    return _columns(rows)


def _lexical(texts: Sequence[str], vocabulary: int | None, suffix: str) -> dict[str, float]:
    several = len(texts) >= 2
    found = {} if vocabulary is None else {f"ead{suffix}": ead(texts, vocabulary) if several else math.nan}
    found[f"distinct_2{suffix}"] = distinct_n(texts, 2) if several else math.nan
    found[f"bleu_distance{suffix}"] = 1 - self_bleu(texts) if several else math.nan
    return found


def _answers(asked: Questions, at: int, correct: Sequence[bool]) -> dict[str, float]:
    item, task, texts = asked.items[at], asked.task, asked.texts[at]
    assert item is not None
    assert task is not None
    answers = [task.answer(item, text) for text in texts]
    n, right = len(texts), sum(correct)
    found = {
        "correct": right / n,
        "pass_at_k": pass_at_k(n, right, max(1, n // 2)),
        "majority_gain": majority_gain(answers, correct),
        "answer_entropy": answer_entropy(answers) if n >= 2 else math.nan,
    }
    if len(item.answers) > 1:
        found["distinct_correct"] = float(distinct_answers(_accepted(asked, at) or ())) if n >= 2 else math.nan
    return found


def _accepted(asked: Questions, at: int) -> list[str | None] | None:
    """The answer of each output where it is an accepted one; None where the item has fewer than two."""
    item, task, correct = asked.items[at], asked.task, asked.correct(at)
    if item is None or task is None or correct is None or len(item.answers) < 2:
        return None
    return [task.answer(item, text) if right else None for text, right in zip(asked.texts[at], correct, strict=True)]


def _embedding(asked: Questions, embedder: Any) -> Scores:
    place = {text: i for i, text in enumerate(dict.fromkeys(text for texts in asked.texts for text in texts))}
    vectors = np.asarray(embedder(list(place)), dtype=np.float64)
    rows = []
    for i, texts in enumerate(asked.texts):
        own = vectors[[place[text] for text in texts]]
        several = len(texts) >= 2
        row = {
            "embedding_distance": embedding_distance(own) if several else math.nan,
            "vendi": vendi_score(own) if several else math.nan,
        }
        correct = asked.correct(i)
        if correct is not None:
            row["embedding_distance_correct"] = embedding_distance(own[correct]) if sum(correct) >= 2 else math.nan
        rows.append(row)
    return _columns(rows)


def _nli(asked: Questions, entailment: Any) -> Scores:
    return {"nli": np.array([nli_diversity(entailment.matrix(t)) if len(t) >= 2 else math.nan for t in asked.texts])}


def _fluency(asked: Questions, fluency: Any) -> Scores:
    prompts, texts = asked.flat
    values = np.asarray(fluency(prompts, texts), dtype=np.float64)
    return {"nll": np.array([_mean(part) for part in asked.split(values)])}


def _judge(asked: Questions, judge: Any) -> Scores:
    from slr_probe.judges import judge_all

    workers = _ASKED_AT_ONCE if hasattr(judge, "url") else 1
    parts = asked.split(judge_all(judge, *asked.flat, workers=workers, progress=False))
    missing = [float(np.isnan(part).sum()) for part in parts]
    return {"judge": np.array([_mean(part) for part in parts]), "judge_missing": np.array(missing)}


def _mean(values: Float[ndarray, " text"]) -> float:
    """Mean of the values that are there."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def _columns(rows: Sequence[Mapping[str, float]]) -> Scores:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: np.array([row.get(name, math.nan) for row in rows], dtype=np.float64) for name in names}


def _strip(text: str, tags: Tags) -> str:
    for pair in tags:
        text = strip_thinking(text, pair)
    return text

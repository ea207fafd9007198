"""`score_outputs`: from what a model wrote to one number a prompt and metric."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from numpy import ndarray

from slr_probe.errors import ValidationError
from slr_probe.files import digest
from slr_probe.scoring import measures
from slr_probe.scoring.inputs import ScoringInputs, Tags
from slr_probe.scoring.measures import Scores
from slr_probe.scoring.own import TextMetric
from slr_probe.tasks.text import TextTask
from slr_probe.tasks.thinking import REASONING

if TYPE_CHECKING:
    from slr_probe.generation import Outputs

_MODELS = {"embedding": "embedder", "nli": "entailment", "fluency": "fluency", "judge": "judge"}
_OWN = "own "  # before the name of the group of a metric of the user's
VERSION = 4
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
        own: Metrics of the user's.

    Raises:
        ValidationError: The vocabulary has no tokens.
    """

    vocabulary: int | None = None
    embedder: Any = None
    entailment: Any = None
    fluency: Any = None
    judge: Any = None
    tags: Tags = REASONING
    own: tuple[TextMetric, ...] = ()

    def __post_init__(self) -> None:
        if self.vocabulary is not None and self.vocabulary < 1:
            raise ValidationError(f"vocabulary is a number of tokens, at least 1; got {self.vocabulary}")

    @property
    def groups(self) -> dict[str, Callable[[ScoringInputs], Scores]]:
        """What will be measured: each group can be measured, and remembered, by itself."""
        found: dict[str, Callable[[ScoringInputs], Scores]] = {
            "text": lambda inputs: measures.measure_text(inputs, self.vocabulary)
        }
        if self.embedder is not None:
            found["embedding"] = lambda inputs: measures.measure_embedding(inputs, self.embedder)
        if self.entailment is not None:
            found["nli"] = lambda inputs: measures.measure_nli(inputs, self.entailment)
        if self.fluency is not None:
            found["fluency"] = lambda inputs: measures.measure_fluency(inputs, self.fluency)
        if self.judge is not None:
            found["judge"] = lambda inputs: measures.measure_judge(inputs, self.judge)
        return found | {f"{_OWN}{one.name}": one.measure for one in self.own}

    @cached_property
    def records(self) -> dict[str, Any]:
        """What is recorded of each scoring model: its own description, else its name; not how it failed."""
        return {name: _record(getattr(self, name)) for name in _MODELS.values()}

    def key(self, group: str, task: TextTask | None, outputs: Outputs) -> str | None:
        """Hash of all that the scores of one group depend on: the texts, the task, the scoring model, the version.

        None where the scoring model does not say what it is: two functions may be called the same.
        """
        own = {f"{_OWN}{one.name}": one.function for one in self.own}
        model = getattr(self, _MODELS[group]) if group in _MODELS else own.get(group)
        if model is not None and not _known(model):
            return None
        data = {
            "version": VERSION,
            "group": group,
            "vocabulary": self.vocabulary if group == "text" else None,
            "model": _record(model) if group in own else self.records.get(_MODELS.get(group, "")),
            "tags": [list(pair) for pair in self.tags],
            "items": None if task is None else [asdict(item) for item in task.items],
            "ids": outputs.ids,
            "texts": outputs.texts,
            "ended": outputs.finished,
        }
        return digest(data)


def score_outputs(
    task: TextTask | None,
    outputs: Outputs,
    *,
    vocabulary: int | None,
    embedder: Any = None,
    entailment: Any = None,
    fluency: Any = None,
    judge: Any = None,
    tags: Tags = REASONING,
) -> Scores:
    """Score what one model wrote, prompt by prompt; means over prompts are up to the caller.

    Args:
        task: Whose items say what is correct and what follows the instruction; None for texts alone.
        outputs: What the model wrote.
        vocabulary: Size of the tokenizer's vocabulary, which EAD is relative to; None leaves EAD out.
        embedder: Adds embedding distance and Vendi score, and `embedding_cut` where it has `cuts(texts)`.
        entailment: Adds NLI diversity.
        fluency: Adds mean negative log-likelihood a token, over the outputs of a prompt that are not empty.
        judge: Adds the mean of its scores; outputs that it failed on are left out and counted in `judge_missing`.
        tags: Opening and closing tags of reasoning that is taken out first; `()` for none.

    Returns:
        For each metric one number a prompt, in the order of the outputs' prompts, NaN where it is undefined. Empty
        outputs are left out of diversity and counted in `empty`. Diversity is undefined for a prompt with fewer than
        two other outputs, and so is diversity among correct outputs where there are fewer than two.

    Raises:
        ValidationError: A prompt without outputs, one that is not in the task, or one with the text of another.
    """
    scorers = Scorers(vocabulary, embedder, entailment, fluency, judge, tags)
    inputs = ScoringInputs.of(task, outputs, tags)
    scores: Scores = {}
    for measure in scorers.groups.values():
        scores |= measure(inputs)
    return scores


def distinct_curve(
    task: TextTask, outputs: Outputs, at: Sequence[int], tags: Tags = REASONING
) -> Float[ndarray, "k prompt"]:
    """Expected distinct accepted answers among k outputs, for each k and prompt; NaN without accepted answers."""
    return measures.answer_curve(ScoringInputs.of(task, outputs, tags), at)


def _record(model: Any) -> Any:
    if hasattr(model, "describe"):
        return {key: value for key, value in model.describe().items() if "failure" not in key}
    return None if model is None else str(getattr(model, "name", None) or getattr(model, "__name__", type(model)))


def _known(model: Any) -> bool:
    """Whether a scoring model has a description, or a name that someone gave it."""
    return hasattr(model, "describe") or getattr(model, "name", None) not in (None, "", "<lambda>")

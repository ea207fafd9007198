"""`LayerTrace`: what every block of every model believes about the next token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from slr_probe.defaults import LEVEL
from slr_probe.errors import SlrProbeError
from slr_probe.result import Result, limits, records
from slr_probe.stats.entropy import conditional_entropy, normalised_diversity, validity
from slr_probe.stats.interval import Interval, interval_where_all_defined

if TYPE_CHECKING:
    import pandas as pd

Measure = Literal[
    "entropy", "kl_to_final", "validity", "conditional_entropy", "diversity", "kl_base_tuned", "kl_tuned_base", "js"
]
BETWEEN: tuple[Measure, ...] = ("kl_base_tuned", "kl_tuned_base", "js")


@dataclass(frozen=True, eq=False, repr=False)
class LayerTrace(Result):
    """Logit lens of one or more models on the same prompts; all entropies and divergences are in nats.

    Attributes:
        models: Names: `"base"`, `"tuned"`, `"base (plain)"`, and the recipes of hybrids.
        prompts: A short text for each prompt.
        tokens: Id and text of every token in `top_ids`.
        entropy: Entropy of each block's distribution over the whole vocabulary.
        kl_to_final: KL from each block's distribution to the same model's last one.
        top_ids: The likeliest tokens, in order.
        top_probs: Their probabilities.
        kl_base_tuned: KL(base || tuned) of the two distributions at one block; None unless both were read.
        kl_tuned_base: KL(tuned || base).
        js: Jensen-Shannon divergence between the two, at most log 2.
        answer_logprobs: Log-probability of each answer with all its tokens, -inf where a prompt has fewer answers;
            None where no answers were given.
        answer_ranks: Tokens that are likelier than the answer's likeliest one; 0 is the top token, -1 no answer.
        answers: The answers of each prompt.
        categories: Category of each prompt, within which the bootstrap draws; empty where there are none.
        confidence: Level of the intervals over prompts.
        seed: Seed of the bootstrap.
    """

    kind: ClassVar[str] = "slr_probe.layer_trace/1"
    view: ClassVar[str] = "lens"

    models: tuple[str, ...]
    prompts: tuple[str, ...]
    tokens: tuple[tuple[int, str], ...]
    entropy: Float[ndarray, "model block prompt"]
    kl_to_final: Float[ndarray, "model block prompt"]
    top_ids: Int[ndarray, "model block prompt top"]
    top_probs: Float[ndarray, "model block prompt top"]
    kl_base_tuned: Float[ndarray, "block prompt"] | None = None
    kl_tuned_base: Float[ndarray, "block prompt"] | None = None
    js: Float[ndarray, "block prompt"] | None = None
    answer_logprobs: Float[ndarray, "model block prompt answer"] | None = None
    answer_ranks: Int[ndarray, "model block prompt answer"] | None = None
    answers: tuple[tuple[str, ...], ...] = ()
    categories: tuple[str, ...] = ()
    confidence: float = LEVEL
    seed: int = 0

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return int(self.entropy.shape[1])

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What each block of each model has: entropies, and validity and diversity where there are answers."""
        return ("entropy", "kl_to_final") + (("validity", "conditional_entropy", "diversity") if self.answers else ())

    @property
    def token_text(self) -> dict[int, str]:
        """Text of every token in `top_ids`, by id."""
        return dict(self.tokens)

    def values(self, measure: Measure, model: str = "tuned") -> Float[ndarray, "block prompt"]:
        """One measure of one model.

        `"validity"` is the probability of the answer set, `"conditional_entropy"` the entropy of the distribution
        renormalised over it, and `"diversity"` that entropy as a share of log |V| (1 is uniform). The divergences
        between base and tuned belong to no model.

        Raises:
            SlrProbeError: The model or measure is unknown, or was not made.
        """
        if measure in BETWEEN:
            divergence = getattr(self, measure)
            if divergence is None:
                raise SlrProbeError(f"'{measure}' needs base and tuned; this trace has {', '.join(self.models)}")
            return np.asarray(divergence)
        if measure not in self.measures:
            needs = "; validity and diversity need answers" if not self.answers else ""
            raise SlrProbeError(f"unknown measure {measure!r}; expected {', '.join((*self.measures, *BETWEEN))}{needs}")
        at = self._index(model)
        if measure in ("entropy", "kl_to_final"):
            return np.asarray(getattr(self, measure)[at])
        assert self.answer_logprobs is not None
        logs = self.answer_logprobs[at]
        if measure == "validity":
            return validity(logs)
        if measure == "conditional_entropy":
            return conditional_entropy(logs)
        sizes = np.array([len(answers) for answers in self.answers])
        share = normalised_diversity(logs, np.maximum(sizes, 2))
        return np.where(sizes > 1, share, np.nan)  # a set of one answer has no diversity to lose

    def interval(self, measure: Measure, model: str = "tuned") -> Interval:
        """Mean over prompts of one measure at each block, with its bootstrap interval."""
        return self._interval(self.values(measure, model))

    def collapse(self, measure: Measure = "entropy", model: str = "tuned", reference: str = "base") -> Interval:
        """Entropy collapse at each block: mean of `reference - model` over prompts, with its paired interval.

        Positive where the model is more certain than the reference at that depth. `measure` may also be
        `"conditional_entropy"` or `"diversity"`.
        """
        return self._interval(self.values(measure, reference) - self.values(measure, model))

    def top_tokens(self, model: str = "tuned", prompt: int = 0) -> list[list[tuple[str, float]]]:
        """For each block the likeliest tokens and their probabilities on one prompt."""
        at, text = self._index(model), self.token_text
        ids, probs = self.top_ids[at, :, prompt].tolist(), self.top_probs[at, :, prompt].tolist()
        return [[(text[i], p) for i, p in zip(*row, strict=True)] for row in zip(ids, probs, strict=True)]

    def to_dataframe(self, per: Literal["block", "prompt", "answer"] = "block") -> pd.DataFrame:
        """The numbers as a table.

        Args:
            per: `"block"`: a row for each model and block, means over prompts with interval limits (`_low`, `_high`);
                the columns `collapse...` compare with base. `"prompt"`: a row for each model, block and prompt.
                `"answer"`: a row for each model, block, prompt and answer, with its probability and rank.

        Raises:
            SlrProbeError: `per` is none of these, or there are no answers.
        """
        import pandas as pd

        tables = {"block": self._by_block, "prompt": self._by_prompt, "answer": self._by_answer}
        if per not in tables:
            raise SlrProbeError(f"unknown table {per!r}; expected 'block', 'prompt' or 'answer'")
        if per == "answer" and not self.answers:
            raise SlrProbeError("no answers were given to this lens; give answers= or a task")
        return pd.concat([pd.DataFrame(tables[per](model)) for model in self.models], ignore_index=True)

    def rows(self) -> list[dict[str, Any]]:
        """Plain data for JSON: one row a model and block; values that are undefined are None."""
        return records(self.to_dataframe())

    def _index(self, model: str) -> int:
        if model not in self.models:
            raise SlrProbeError(f"this trace has no model {model!r}; it has {', '.join(self.models)}")
        return self.models.index(model)

    def _interval(self, values: Float[ndarray, "block prompt"]) -> Interval:
        return interval_where_all_defined(values, self.categories, level=self.confidence, seed=self.seed)

    # -- columns of one model's tables ---------------------------------------------------------------------------

    def _by_block(self, model: str) -> dict[str, Any]:
        columns: dict[str, Any] = {"model": model, "block": np.arange(self.depth)}
        for measure in self.measures:
            columns |= limits(measure, self.interval(measure, model))
        if "base" in self.models and model != "base":
            columns |= limits("collapse", self.collapse("entropy", model))
            if self.answers:
                columns |= limits("conditional_collapse", self.collapse("conditional_entropy", model))
        if model == "tuned" and self.js is not None:
            for measure in BETWEEN:
                columns |= limits(measure, self.interval(measure))
        return columns

    def _by_prompt(self, model: str) -> dict[str, Any]:
        blocks, prompts = (index.ravel() for index in np.indices((self.depth, len(self.prompts))))
        columns: dict[str, Any] = {"model": model, "block": blocks, "prompt": prompts}
        columns["text"] = np.array(self.prompts, dtype=object)[prompts]
        between = BETWEEN if model == "tuned" and self.js is not None else ()
        for measure in (*self.measures, *between):
            columns[measure] = self.values(measure, model).ravel()
        at, text = self._index(model), self.token_text
        columns["top_token"] = [text[i] for i in self.top_ids[at, :, :, 0].ravel().tolist()]
        columns["top_probability"] = self.top_probs[at, :, :, 0].ravel()
        return columns

    def _by_answer(self, model: str) -> dict[str, Any]:
        assert self.answer_logprobs is not None
        assert self.answer_ranks is not None
        at = self._index(model)
        sizes = [len(answers) for answers in self.answers]
        prompt, answer = np.repeat(np.arange(len(sizes)), sizes), np.concatenate([np.arange(size) for size in sizes])
        probabilities = np.exp(self.answer_logprobs[at])[:, prompt, answer]
        return {
            "model": model,
            "block": np.repeat(np.arange(self.depth), len(prompt)),
            "prompt": np.tile(prompt, self.depth),
            "answer": [text for answers in self.answers for text in answers] * self.depth,
            "probability": probabilities.ravel().astype(np.float64),
            "rank": self.answer_ranks[at][:, prompt, answer].ravel(),
        }

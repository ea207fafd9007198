"""`Entailment`: which output follows from, or contradicts, which."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.errors import JudgeError
from slr_probe.forward.budget import by_length
from slr_probe.judges.judge import find_folder, load, longest_input

_SENTENCE = re.compile(r"(?<=[.!?])\s+|\s*\n\s*")


class Entailment:
    """P(entailment) - P(contradiction) of pairs of texts, from a natural-language-inference model.

    Attributes:
        name: What the user named; recorded with every score. arXiv 2604.16027 uses roberta-large-mnli.
    """

    def __init__(
        self,
        name: str | os.PathLike[str],
        *,
        labels: Sequence[str] | None = None,
        device: Any = None,
        batch_tokens: int = 16_384,
        download: bool = False,
    ) -> None:
        """Load a model.

        Args:
            name: A local folder or a hub id of a sequence classifier.
            labels: What its outputs mean, in order, where its config does not say; default: `id2label`.
            device: Where to; default: CUDA where there is one, else CPU.
            batch_tokens: Bound on pairs x longest pair of one batch.
            download: Let a hub id be fetched over the network.

        Raises:
            JudgeError: The model is absent, or which output is entailment cannot be told.
        """
        self.name = os.fspath(name)
        self.path = find_folder(name, "entailment model", download)
        self._model, self._tokenizer = load("AutoModelForSequenceClassification", self.path, "entailment model", device)
        known = self._model.config.id2label
        self.labels = tuple(labels) if labels is not None else tuple(str(known[i]) for i in range(len(known)))
        if len(self.labels) != self._model.config.num_labels:
            raise JudgeError(f"{self.name} has {self._model.config.num_labels} outputs; got labels {self.labels}")
        self._entails, self._contradicts = (_find_label(self.labels, stem, self.name) for stem in ("entail", "contra"))
        self._batch_tokens = batch_tokens

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> Float[ndarray, " pair"]:
        """P(entailment) - P(contradiction) of (premise, hypothesis) pairs, in [-1, 1]; long pairs are cut."""
        import torch

        unique = list(dict.fromkeys(pairs))
        if not unique:
            return np.zeros(0)
        limit = longest_input(self._model, self._tokenizer)
        firsts, seconds = [one for one, _ in unique], [other for _, other in unique]
        encoded = self._tokenizer(firsts, seconds, truncation=limit is not None, max_length=limit)
        scores = np.empty(len(unique))
        for batch in by_length([len(row) for row in encoded["input_ids"]], tokens=self._batch_tokens):
            rows = {key: [encoded[key][i] for i in batch] for key in encoded}
            padded = self._tokenizer.pad(rows, return_tensors="pt").to(self._model.device)
            with torch.inference_mode():
                probabilities = self._model(**padded).logits.double().softmax(dim=-1).cpu().numpy()
            scores[batch] = probabilities[:, self._entails] - probabilities[:, self._contradicts]
        place = {pair: i for i, pair in enumerate(unique)}
        return scores[[place[pair] for pair in pairs]]

    def matrix(self, texts: Sequence[str]) -> Float[ndarray, "text text"]:
        """Scores of all ordered pairs of outputs, for `nli_diversity`; NaN on the diagonal.

        Sentences are aligned as in the authors' code: the first of one output is compared with the first of the other,
        and so on as far as the shorter goes, and the scores are averaged. Where a sentence ends is ours: at ".", "!" or
        "?" before a space, and at line ends. An output without a sentence counts as one empty sentence.
        """
        parts = [[part for part in _SENTENCE.split(text.strip()) if part] or [""] for text in texts]
        cells = [(i, j) for i in range(len(texts)) for j in range(len(texts)) if i != j]
        pairs = [list(zip(parts[i], parts[j], strict=False)) for i, j in cells]
        flat = self([pair for aligned in pairs for pair in aligned])
        scores, start = np.full((len(texts), len(texts)), np.nan), 0
        for cell, aligned in zip(cells, pairs, strict=True):
            scores[cell] = flat[start : start + len(aligned)].mean()
            start += len(aligned)
        return scores

    def describe(self) -> dict[str, str]:
        """Name and a hash of the weights, to be saved with scores."""
        from slr_probe.checkpoint import open_checkpoint

        return {"name": self.name, "fingerprint": open_checkpoint(self.path).fingerprint()}

    def __repr__(self) -> str:
        return f"Entailment({self.name!r})"


def _find_label(labels: tuple[str, ...], stem: str, name: str) -> int:
    places = [i for i, label in enumerate(labels) if label.lower().startswith(stem)]
    if len(places) != 1:
        raise JudgeError(
            f"{name} names its outputs {labels}, so which of them means '{stem}...' cannot be told; give for example "
            "labels=('contradiction', 'neutral', 'entailment')"
        )
    return places[0]

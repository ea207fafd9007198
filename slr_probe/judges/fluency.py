"""`Fluency`: how likely a reference model finds an output."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.checkpoint import open_checkpoint
from slr_probe.errors import JudgeError
from slr_probe.forward.budget import by_length
from slr_probe.judges.judge import find_folder, load
from slr_probe.pair.prompts import Format, PromptRenderer
from slr_probe.pair.prompts.tokens import encode
from slr_probe.pair.side import Side, recorded

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair

_NUMBERS = 1 << 26  # of one batch's logits: 256 MiB in float32


class Fluency:
    """Mean negative log-likelihood of outputs given their prompts, in nats a token, under a reference model.

    Low is fluent. `-mean log p(token | prompt, tokens before)` over the output's own tokens; the end of the output is
    not one of them. A model that is no relative of those compared is the fairest reference.

    Attributes:
        name: What the user named; recorded with every score.
        format: Prompt format.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Any,
        tokenizer: Any = None,
        *,
        name: str | None = None,
        format: Format | None = None,
        device: Any = None,
        batch_tokens: int = 8192,
        download: bool = False,
    ) -> None:
        """Load a reference, or take one that is loaded.

        Args:
            model: A folder, a hub id, `"organism:base"`, or a causal language model of transformers.
            tokenizer: Needed with a loaded model.
            name: Recorded with scores; default: what was given.
            format: Prompt format; default: chat where there is a chat template.
            device: Where to; default: CUDA where there is one, else CPU.
            batch_tokens: Bound on rows x longest row of one batch.
            download: Let a hub id be fetched over the network.

        Raises:
            JudgeError: The model is absent, or a loaded one came without a tokenizer.
        """
        if isinstance(model, (str, os.PathLike)):
            folder = find_folder(model, "reference model", download)
            self._model, own = load("AutoModelForCausalLM", folder, "reference model", device, dtype="auto")
            self._side = Side("reference", os.fspath(model), folder, open_checkpoint(folder))
            tokenizer = tokenizer or own
            self.name = name or os.fspath(model)
        else:
            if tokenizer is None:
                raise JudgeError("a loaded reference model needs its tokenizer: Fluency(model, tokenizer)")
            self._model = model.eval()
            self._side = Side("reference", "in memory", model=model)
            self.name = name or str(getattr(model.config, "name_or_path", "") or type(model).__name__)
        self._render = PromptRenderer.of(tokenizer)
        self.format: Format = format or self._render.default_format
        self._batch_tokens = batch_tokens

    @classmethod
    def of_pair(cls, pair: ModelPair, side: str = "base", format: Format | None = None) -> Fluency:
        """One side of a pair as the reference.

        Raises:
            JudgeError: There is no such side.
        """
        if side not in ("base", "tuned"):
            raise JudgeError(f"the reference must be 'base' or 'tuned' of the pair; got {side!r}")
        source: Side = getattr(pair, f"{side}_side")
        reference = cls(getattr(pair, side), pair.tokenizer, name=f"{side} ({source})", format=format)
        reference._side = source
        return reference

    def __call__(self, prompts: Sequence[str], texts: Sequence[str]) -> Float[ndarray, " text"]:
        """Nats a token of each text given the prompt at its place.

        Returns:
            NaN for a text without tokens.

        Raises:
            JudgeError: Numbers of prompts and texts differ, or a prompt and its text do not fit the context.
        """
        if len(prompts) != len(texts):
            raise JudgeError(f"one prompt for each text: got {len(prompts)} prompts and {len(texts)} texts")
        unique = list(dict.fromkeys(zip(prompts, texts, strict=True)))
        heads = {prompt: self._render(prompt, self.format) for prompt in dict.fromkeys(prompts)}
        tails = [encode(self._render.tokenizer, text) for _, text in unique]
        rows = [(heads[prompt], tail) for (prompt, _), tail in zip(unique, tails, strict=True)]
        self._check_lengths(rows)
        scores = dict(zip(unique, self._score(rows), strict=True))
        return np.array([scores[pair] for pair in zip(prompts, texts, strict=True)], dtype=np.float64)

    def describe(self) -> dict[str, str]:
        """Name, prompt format and a hash of the weights, to be saved with scores."""
        return {"name": self.name, "format": self.format, **recorded(self._side)}

    def __repr__(self) -> str:
        return f"Fluency({self.name!r}, format={self.format!r})"

    def _check_lengths(self, rows: list[tuple[list[int], list[int]]]) -> None:
        context = getattr(self._model.config.get_text_config(decoder=True), "max_position_embeddings", None)
        longest = max((len(head) + len(tail) for head, tail in rows), default=0)
        if context is not None and longest > context:
            raise JudgeError(f"a prompt and its text have {longest} tokens; {self.name} reads {context}")

    def _score(self, rows: list[tuple[list[int], list[int]]]) -> Float[ndarray, " row"]:
        from slr_probe.generation.state import may_be_padded

        scores = np.full(len(rows), np.nan)
        scored = [i for i, (_, tail) in enumerate(rows) if tail]
        vocab = int(self._model.config.get_text_config(decoder=True).vocab_size)
        bound = min(self._batch_tokens, max(1, _NUMBERS // vocab))
        lengths = [len(rows[i][0]) + len(rows[i][1]) for i in scored]
        for batch in by_length(lengths, tokens=bound, equal=not may_be_padded(self._model)):
            places = [scored[i] for i in batch]
            scores[places] = self._score_batch([rows[i] for i in places])
        return scores

    def _score_batch(self, rows: list[tuple[list[int], list[int]]]) -> Float[ndarray, " row"]:
        """Rows are padded at the end, which in a causal model changes nothing before it."""
        import torch

        shape = (len(rows), max(len(head) + len(tail) for head, tail in rows))
        ids, mask = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64)
        inside = torch.zeros(shape, dtype=torch.bool)
        for i, (head, tail) in enumerate(rows):
            size = len(head) + len(tail)
            ids[i, :size], mask[i, :size] = torch.tensor([*head, *tail]), 1
            inside[i, len(head) : size] = True
        ids, mask, inside = (value.to(self._model.device) for value in (ids, mask, inside))
        with torch.inference_mode():
            logits = self._model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1].float()
            nats = logits.logsumexp(dim=-1) - logits.gather(2, ids[:, 1:, None])[..., 0]
            kept = inside[:, 1:]
            means = torch.where(kept, nats.double(), 0.0).sum(dim=1) / kept.sum(dim=1)
        return np.asarray(means.cpu().numpy())

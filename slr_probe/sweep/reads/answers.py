"""Answers of one token: their probability after the prompt, and the likeliest tokens that are none."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from numpy import ndarray

from slr_probe.forward.budget import spans
from slr_probe.forward.calibration import order_scores
from slr_probe.forward.readout import AnswerTable, reduce_logits
from slr_probe.sweep.reads.rows import Arrays, Reduce, ReferenceLogits, Row, rows_at_once

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from slr_probe.tasks.answers import Query

Setting = tuple[float, float]
"""Temperature and min-p."""
_NAMES = ("answer_logprobs", "invalid_tokens", "invalid_logprobs", "grid_logprobs", "order_scores")


class AnswerReader:
    """Reads each query after its last token.

    Args:
        queries: The questions.
        settings: One or more; invalid tokens are kept for the first.
        invalid: How many of them.
        device: Where logits are.
        order: Read as well how answers are ranked above other tokens, of the logits as they are.

    Attributes:
        rows: One a query.
    """

    compares: ClassVar[bool] = False

    def __init__(
        self,
        queries: Sequence[Query],
        settings: Sequence[Setting],
        invalid: int,
        device: torch.device,
        *,
        order: bool = False,
    ) -> None:
        self.rows = tuple(Row.last(query.token_ids) for query in queries)
        self._queries, self._device = tuple(queries), device
        self._first, *self._others = settings
        self._invalid, self._order = invalid, order

    @cached_property
    def _table(self) -> AnswerTable:
        return AnswerTable.of(self._queries, self._device)

    def blank(self, recipes: int, reads: int) -> Arrays:
        """Log-probabilities of answers at the first setting and at the others, and of tokens that are none."""
        answers = max((len(query.answers) for query in self._queries), default=1)
        return {
            "answer_logprobs": np.full((recipes, reads, answers), -np.inf, dtype=np.float32),
            "invalid_tokens": np.full((recipes, reads, self._invalid), -1, dtype=np.int64),
            "invalid_logprobs": np.full((recipes, reads, self._invalid), -np.inf, dtype=np.float32),
            "grid_logprobs": np.full((recipes, reads, len(self._others), answers), -np.inf, dtype=np.float32),
            **({"order_scores": np.full((recipes, reads, 2), np.nan, dtype=np.float32)} if self._order else {}),
        }

    def at(self, reads: Int[ndarray, " read"], reference: ReferenceLogits | None) -> Reduce:
        """What turns logits of some prompts into these."""
        table = self._table.rows(torch.from_numpy(reads).to(self._device)).tokens

        def reduce(logits: Float[torch.Tensor, "state read vocab"]) -> dict[str, torch.Tensor]:
            rows, answers = logits.flatten(0, 1), AnswerTable(table.repeat(len(logits), 1, 1))
            pieces = [self._reduce(rows[some], answers.rows(some)) for some in spans(len(rows), rows_at_once(rows))]
            joined = (torch.cat(kind) for kind in zip(*pieces, strict=True))
            whole = [tensor.reshape(*logits.shape[:2], *tensor.shape[1:]) for tensor in joined]
            return dict(zip(_NAMES, whole, strict=False))

        return reduce

    def _reduce(self, logits: Float[torch.Tensor, "row vocab"], answers: AnswerTable) -> tuple[torch.Tensor, ...]:
        others = [logits.new_empty((len(logits), 0, answers.tokens.shape[1]), dtype=torch.float32)]
        others += [answers.logprobs(logits, *setting)[:, None] for setting in self._others]
        temperature, min_p = self._first
        kept = reduce_logits(logits, answers, temperature=temperature, min_p=min_p, invalid=self._invalid)
        ordered = (order_scores(logits, answers),) if self._order else ()
        return (*kept, torch.cat(others, 1), *ordered)

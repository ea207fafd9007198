"""Replies that were given: five numbers for every position that is read, beside a reference recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from numpy import ndarray

from slr_probe.forward.budget import spans
from slr_probe.forward.token_scores import SCORES, Reference, score_tokens
from slr_probe.sweep.reads.answers import Setting
from slr_probe.sweep.reads.rows import Arrays, Reduce, ReferenceLogits, Row, rows_at_once

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from slr_probe.tasks.replies import Replies


@dataclass(frozen=True)
class ReplyReader:
    """Reads replies at the positions that they name.

    Attributes:
        replies: The replies.
        settings: Temperature and min-p of what is read, one pair or more.
        device: Where logits are.
    """

    compares: ClassVar[bool] = True

    replies: Replies
    settings: Sequence[Setting]
    device: torch.device

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """One a reply."""
        return tuple(
            Row(reply.token_ids, tuple(len(reply.prompt) - 1 + k for k in reply.read)) for reply in self.replies.replies
        )

    @cached_property
    def places(self) -> Int[ndarray, "read 2"]:
        """Reply and position of each read."""
        found = [(number, k) for number, reply in enumerate(self.replies.replies) for k in reply.read]
        return np.array(found, dtype=np.int64)

    def blank(self, recipes: int, reads: int) -> Arrays:
        """`SCORES` at every setting."""
        shape = (recipes, reads, len(self.settings), len(SCORES))
        return {"reply_scores": np.full(shape, np.nan, dtype=np.float32)}

    def at(self, reads: Int[ndarray, " read"], reference: ReferenceLogits | None) -> Reduce:
        """What turns logits at some reads into these; the reference's are computed once for all of its calls."""
        assert reference is not None
        compared, given = Reference.of(reference(reads)), self._given[torch.from_numpy(reads).to(self.device)]

        def reduce(logits: Float[torch.Tensor, "state read vocab"]) -> dict[str, torch.Tensor]:
            size = rows_at_once(logits)
            columns = []
            for some in spans(logits.shape[1], size):
                beside = compared.rows(some)
                few = spans(len(logits), max(1, size // len(beside.p)))
                columns.append(torch.cat([self._scores(logits[s, some], given[some], beside) for s in few]))
            return {"reply_scores": torch.cat(columns, 1)}

        return reduce

    def _scores(
        self, logits: Float[torch.Tensor, "state read vocab"], given: Int[torch.Tensor, " read"], reference: Reference
    ) -> Float[torch.Tensor, "state read setting score"]:
        of_settings = [
            score_tokens(logits, given, self._ends, reference, temperature=temperature, min_p=min_p)
            for temperature, min_p in self.settings
        ]
        return torch.stack(of_settings, 2)

    @cached_property
    def _given(self) -> Int[torch.Tensor, " read"]:
        tokens = [-1 if token is None else token for reply in self.replies.replies for token in reply.given]
        return torch.tensor(tokens, device=self.device)

    @cached_property
    def _ends(self) -> Int[torch.Tensor, " end"]:
        return torch.tensor(self.replies.ends, device=self.device)

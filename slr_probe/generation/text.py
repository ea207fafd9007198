"""From tokens to the text of an output, in which reasoning can be told from the reply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from slr_probe.errors import GenerationError, foreign
from slr_probe.pair.prompts.reasoning import spelled_by


@dataclass(frozen=True)
class Writing:
    """How tokens become texts.

    Attributes:
        tokenizer: A transformers tokenizer.
        stop: Strings before the first of which a text ends.
    """

    tokenizer: Any
    stop: tuple[str, ...] = ()

    @cached_property
    def _kept(self) -> dict[int, str]:
        """Special tokens that mark reasoning: left out as others are, the reasoning would pass for the reply."""
        names = zip(self.tokenizer.all_special_ids, self.tokenizer.all_special_tokens, strict=False)
        return {int(number): str(name) for number, name in names if spelled_by(str(name))}

    def stopped(self, tokens: Sequence[int]) -> bool:
        """Whether the tokens so far hold a string that ends the output."""
        text = self._decoded(tokens)
        return any(stop in text for stop in self.stop)

    def text(self, tokens: Sequence[int], opened: str = "") -> str:
        """Tokens as text, cut before the first string that ends an output.

        Args:
            tokens: What the model wrote.
            opened: The mark of reasoning that the prompt ended with; it is put in front, so that a text which ends
                before its closing mark is seen to be no reply.
        """
        whole = self._decoded(tokens)
        cuts = [whole.find(stop) for stop in self.stop if stop in whole]
        return opened + whole[: min(cuts, default=len(whole))]

    def _decoded(self, tokens: Sequence[int]) -> str:
        parts = []
        with foreign(GenerationError, "the tokenizer cannot decode what was written"):
            for name, group in groupby(tokens, key=self._kept.get):
                ids = list(group)
                parts.append(name * len(ids) if name is not None else self._plain(ids))
        return "".join(parts)

    def _plain(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

"""Notes on a pair: what a reader should know of its dtypes and its chat template."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slr_probe.checkpoint.shard import FLOATING
from slr_probe.errors import PromptError
from slr_probe.pair.prompts.chat import opening
from slr_probe.pair.prompts.template import Template
from slr_probe.pair.side import Side, dtypes

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase


def dtype_notes(sides: tuple[Side, Side], dtype: torch.dtype | None) -> tuple[str, ...]:
    """Which sides store several dtypes, of which loading makes one unless `dtype` says which."""
    if dtype is not None:
        return ()
    notes = []
    for side in sides:
        stored = [name for name in dtypes(side) if name in FLOATING]
        if side.dtype is not None and len(stored) > 1:
            notes.append(f"{side.role} stores {' and '.join(stored)}; in memory all of it is {stored[0]}")
    return tuple(notes)


def template_notes(tokenizer: PreTrainedTokenizerBase, base: Any, tuned: Any) -> tuple[str, ...]:
    """What the chat template does, as far as it can be used at all; where not, chat prompts are refused in time.

    Args:
        tokenizer: The one that renders prompts.
        base: That of base, where there is one.
        tuned: That of tuned, likewise.
    """
    try:
        template = Template.of(tokenizer)
        if template is None:
            swapped = tuned is not None and getattr(base, "chat_template", None)
            asked = ("base has a chat template and tuned has none: are the two swapped?",) if swapped else ()
            return ("no chat template; prompts are rendered plain", *asked)
        notes = opening(template).notes
    except PromptError as error:
        return (f"the chat template cannot be used: {error}",)
    others = [getattr(one, "chat_template", None) for one in (base, tuned)]
    if all(others) and others[0] != others[1]:
        notes += ("base has another chat template; all models read tuned's",)
    return notes

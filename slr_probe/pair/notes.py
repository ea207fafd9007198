"""Notes on a pair: what a reader should know of its dtypes and its chat template."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from slr_probe.checkpoint.shard import FLOATING
from slr_probe.errors import PromptError
from slr_probe.pair.prompts.chat import opening
from slr_probe.pair.prompts.template import Template
from slr_probe.pair.side import Side, dtypes, fingerprint

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

_FIT = "They fit"
_TUNED = frozenset("it instruct chat sft dpo rlhf rl grpo ppo tuned aligned".split())
_BASE = frozenset("base pt pretrained".split())


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


def doubt(base: Side, tuned: Side, notes: Sequence[str]) -> str:
    """What makes a pair look swapped, or like one checkpoint twice, in one line; empty where nothing does."""
    said = verdict(base, tuned, notes)
    return "" if said.startswith(_FIT) else said


def verdict(base: Side, tuned: Side, notes: Sequence[str]) -> str:
    """Whether a pair that could be opened is what it should be: it fits, is swapped perhaps, or is one checkpoint.

    Args:
        base: The pre-trained side.
        tuned: The post-trained side.
        notes: Those of the pair.
    """
    fits = "the two are of one architecture, so any range of their blocks can be restored."
    if fingerprint(base) == fingerprint(tuned):
        return "Twice the same? Weights and config of base and tuned are equal: there is nothing to restore."
    other = [note for note in notes if note.startswith("the adapter was made over")]
    if other:
        return f"Another base? They fit: {fits} But {other[0]}."
    asked = [note for note in notes if "swapped?" in note]
    if not asked and _looks_swapped(str(base), str(tuned)):
        asked = [f"base is called {base}, tuned {tuned}"]
    if asked:
        return f"Swapped? They fit: {fits} But {asked[0].removesuffix(': are the two swapped?')}."
    return f"{_FIT}: {fits}"


def _looks_swapped(base: str, tuned: str) -> bool:
    """Whether base is named like a tuned model and tuned is not, or tuned like a base and base is not."""
    one, other = (set(re.split(r"[^a-z]+", re.split(r"[/:]", name.rstrip("/"))[-1].lower())) for name in (base, tuned))
    return bool((one & _TUNED and not other & _TUNED) or (other & _BASE and not one & _BASE))

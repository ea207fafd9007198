"""Marks between which models write reasoning that is no part of the reply."""

from __future__ import annotations

import re

Tags = tuple[str, str]

THINK = ("<think>", "</think>")
_NAMES = ("thinking", "thought", "thoughts", "reasoning", "reflection", "scratchpad", "seed:think")
REASONING: tuple[Tags, ...] = (
    THINK,
    *((f"<{name}>", f"</{name}>") for name in _NAMES),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|think_start|>", "<|think_end|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
    ("<|channel>thought", "<channel|>"),
)
"""Opening and closing marks of the families that we know: DeepSeek, Qwen, Mistral, Kimi, Cohere, Seed, Apertus, gpt-oss
and Gemma among them. The list is ours."""
_ANY_TAG = re.compile(
    r"([<\[])(\w*(?:think|thought|reason|scratch|deliberat|reflect|monolog)\w*)([>\]])", re.IGNORECASE
)


def left_open(text: str) -> Tags | None:
    """The marks of reasoning that a text opens and does not close; None where it opens none.

    Marks that are not in the list are known by a name that speaks of thinking.

    Examples:
        >>> left_open("<|assistant|><think>"), left_open("<think></think>"), left_open("<my_thoughts>")
        (('<think>', '</think>'), None, ('<my_thoughts>', '</my_thoughts>'))
    """
    others = [(match[0], f"{match[1]}/{match[2]}{match[3]}") for match in _ANY_TAG.finditer(text)]
    for opening, closing in (*REASONING, *others):
        place = text.rfind(opening)
        if place >= 0 and closing not in text[place + len(opening) :]:
            return opening, closing
    return None


def spelled_by(text: str) -> bool:
    """Whether a special token is a mark of reasoning or part of one, and so must stay in a text."""
    return bool(text) and any(text in mark for pair in REASONING for mark in pair)

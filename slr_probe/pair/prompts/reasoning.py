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
    ("<unused94>thought", "<unused95>"),
)
"""Opening and closing marks of the families that we know: DeepSeek, Qwen, Mistral, Kimi, Cohere, Seed, Apertus,
gpt-oss, Gemma and MedGemma among them. The list is ours."""
_ANY_TAG = re.compile(
    r"(<\|?|\[|◁)([\w:.-]{0,40}?(?:think|thought|reason|scratch|deliberat|reflect|monolog|ponder)[\w:.-]{0,40}|cot)( ?)"
    r"(\|?>|\]|▷)",
    re.IGNORECASE,
)
_ENDS = {"begin": "end", "start": "end", "BEGIN": "END", "START": "END", "Begin": "End", "Start": "End"}


def left_open(text: str) -> Tags | None:
    """The marks of reasoning that a text opens and does not close; None where it opens none.

    Marks that are not in the list are known by a name that speaks of thinking.

    Examples:
        >>> left_open("<|assistant|><think>"), left_open("<think></think>"), left_open("<my_thoughts>")
        (('<think>', '</think>'), None, ('<my_thoughts>', '</my_thoughts>'))
    """
    for opening, closing in (*REASONING, *map(_tags, _ANY_TAG.finditer(text))):
        place = text.rfind(opening)
        if place >= 0 and closing not in text[place + len(opening) :]:
            return opening, closing
    return None


def begun(text: str) -> tuple[Tags, ...]:
    """The marks with which a text begins where they are not in the list and known by their name alone, if any.

    Examples:
        >>> begun("<|begin_of_reasoning|>6 x 7"), begun("[A reflection] It rained.")
        ((('<|begin_of_reasoning|>', '<|end_of_reasoning|>'),), ())
    """
    match = _ANY_TAG.match(text.lstrip())
    return () if match is None or match[0] in {opening for opening, _ in REASONING} else (_tags(match),)


def _tags(match: re.Match[str]) -> Tags:
    """An opening mark and what closes it: `<|begin_of_x|>` and `<|end_of_x|>`, `<x>` and `</x>`."""
    before, name, blank, after = match.groups()
    word = next((word for word in re.split(r"[_:.-]", name) if word in _ENDS), None)
    return match[0], before + (f"/{name}" if word is None else name.replace(word, _ENDS[word], 1)) + blank + after


def spelled_by(text: str) -> bool:
    """Whether a special token is a mark of reasoning or part of one, and so must stay in a text."""
    return bool(text) and any(text in mark for pair in REASONING for mark in pair)

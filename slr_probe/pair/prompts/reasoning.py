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
    ("<|channel|>commentary<|message|>", "<|channel|>final<|message|>"),
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
_NAMED_TAG = re.compile(r"(<)(analysis|inner_monologue|brainstorm)()(>)", re.IGNORECASE)
_WORDED = (
    (r"here(?: is|['’]s) my thought process:", r"here(?: is|['’]s) my response:\s*", True),
    (r"analysis(?=\S)", r"assistant(?:commentary\S[^\n]{0,200}?assistant)?final", False),
    (
        r"[#*\s]{0,6}(?:my )?(?:thinking|thoughts?|reasoning)(?: process)?\b[*:]{0,4}[ \t]*\n",
        r"^[#*]{1,6} ?(?:the |my )?(?:final )?(?:answer|response|reply|output|solution)\b[*:]{0,4}[ \t]*",
        False,
    ),
)
"""How a text begins that says in words that it reasons, what begins the reply, and whether all is reasoning without
that: Granite's sentences, gpt-oss without its special tokens, and headings. The list is ours."""
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


def after_words(text: str) -> str:
    r"""The text without reasoning that it announces in words, up to the words that announce the reply.

    Examples:
        >>> after_words("Here is my thought process: 6 x 7. Here is my response: 42")
        '42'
        >>> after_words("## Thinking\n6 x 7\n\n## Answer\n42"), after_words("## Thinking\naloud helps")
        ('42', '## Thinking\naloud helps')
    """
    for opening, closing, whole in _WORDED:
        if re.match(opening, text.lstrip(), re.IGNORECASE):
            reply = re.search(closing, text, re.IGNORECASE | re.MULTILINE)
            return text[reply.end() :].lstrip() if reply else "" if whole else text
    return text


def begun(text: str) -> tuple[Tags, ...]:
    """The marks with which a text begins where they are not in the list and known by their name alone, if any.

    Examples:
        >>> begun("<analysis>6 x 7"), begun("<|begin_of_reasoning|>6 x 7"), begun("[A reflection] It rained.")
        ((('<analysis>', '</analysis>'),), (('<|begin_of_reasoning|>', '<|end_of_reasoning|>'),), ())
    """
    match = _ANY_TAG.match(text.lstrip()) or _NAMED_TAG.match(text.lstrip())
    return () if match is None or match[0] in {opening for opening, _ in REASONING} else (_tags(match),)


def _tags(match: re.Match[str]) -> Tags:
    """An opening mark and what closes it: `<|begin_of_x|>` and `<|end_of_x|>`, `<x>` and `</x>`."""
    before, name, blank, after = match.groups()
    word = next((word for word in re.split(r"[_:.-]", name) if word in _ENDS), None)
    return match[0], before + (f"/{name}" if word is None else name.replace(word, _ENDS[word], 1)) + blank + after


def spelled_by(text: str) -> bool:
    """Whether a special token is a mark of reasoning or part of one, and so must stay in a text."""
    return bool(text) and any(text in mark for pair in REASONING for mark in pair)

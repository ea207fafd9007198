"""What a chat template makes of a conversation: are the words in it, is the assistant's turn open, and to what?

Templates are written for servers that check none of this: some drop text that is no list of parts, some ignore the
wish to open the assistant's turn, some open reasoning. All of it is seen by rendering a conversation or two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from slr_probe.errors import PromptError, one_line
from slr_probe.pair.prompts.reasoning import REASONING, Tags, left_open
from slr_probe.pair.prompts.template import Messages, Template, TemplateStopped

_ASKED, _REPLIED = "Qzjxask", "Qzjxreply"  # words that no template has of its own
_LIST = re.compile(r"""['"]type['"]: ?['"]text['"]""")


@dataclass(frozen=True)
class Opening:
    """How a chat template opens the assistant's turn.

    Attributes:
        header: What the template puts before a reply and, where it is asked to open the turn, leaves out; added here.
        reasoning: Marks of the reasoning that the opened turn has begun.
        notes: What a reader should know of it.
    """

    header: str = ""
    reasoning: Tags | None = None
    notes: tuple[str, ...] = ()


def render_chat(template: Template, messages: Messages, *, open_turn: bool) -> str:
    """The text of a conversation, in which its words stand; with the assistant's turn open, if that is wanted.

    Raises:
        PromptError: The template refuses the conversation, or drops or changes words of it.
    """
    text = _with_words(template, messages, open_turn)
    return text + opening(template).header if open_turn else text


@lru_cache(maxsize=256)
def opening(template: Template) -> Opening:
    """How the template opens the assistant's turn: what it renders if asked, beside what precedes a reply.

    Raises:
        PromptError: It opens the turn in front of the user's words.
    """
    question = {"role": "user", "content": _ASKED}
    try:
        closed, opened = (_with_words(template, [question], turn) for turn in (False, True))
    except PromptError:  # it takes no such conversation; what it is given later it takes or refuses by itself
        return Opening()
    ignored = opened == closed
    if not ignored and opened.rpartition(_ASKED)[2].strip() == closed.rpartition(_ASKED)[2].strip():
        raise PromptError(_BEFORE)
    try:
        replied = _with_words(template, [question, {"role": "assistant", "content": _REPLIED}], False)
    except PromptError:
        before = None
    else:
        before = replied.partition(_REPLIED)[0]
    header, notes = "", []
    if before is not None and before.startswith(opened) and before[len(opened) :].strip():
        rest = before[len(opened) :]
        header = rest.rstrip(" ") if ignored else ""  # a last space is the beginning of the reply
        notes.append(_NOT_OPENED.format(header) if ignored else _LEFT_TO_MODEL.format(rest))
    elif ignored and (before is None or before.rstrip() != opened.rstrip()):
        notes.append("the chat template ignores the wish to open the assistant's turn (add_generation_prompt)")
    reasoning = left_open((opened + header).rpartition(_ASKED)[2])
    if reasoning is not None:
        notes.append(_REASONS.format(*reasoning))
    elif before is not None and not ignored:
        notes += _begun(opened, before, replied.rpartition(_REPLIED)[2])
    return Opening(header, reasoning, tuple(notes))


def _begun(opened: str, before: str, after: str) -> list[str]:
    """What is odd in an opened turn, beside what stands before and after a reply in the template."""
    written = opened[len(before) :] if opened.startswith(before) else ""
    if after.strip() and written.rstrip().endswith(after.strip()):
        return [_CLOSED.format(after.strip())]
    if _PAIRS.sub("", written).strip():
        return [f"the chat template begins the reply itself, with {written.strip()!r}"]
    if not opened.startswith(before.rstrip()) and not before.startswith(opened.rstrip()):
        return [_OTHER.format(opened.rpartition(_ASKED)[2], before.rpartition(_ASKED)[2])]
    return []


_NOT_OPENED = "the chat template does not open the assistant's turn; {!r}, which it puts before a reply, is added"
_LEFT_TO_MODEL = (
    "where the chat template opens the assistant's turn it leaves {!r}, which it puts before a reply, to the model: "
    "the next token may be the first of that, not of an answer"
)
_CLOSED = "the chat template ends an opened turn with {!r}, which it puts after a reply: the model may write nothing"
_OTHER = "the chat template opens {!r} where it is asked for the assistant's turn, and puts {!r} before a reply"
_BEFORE = (
    "the chat template puts the opening of the assistant's turn before the user's words; give another one "
    "(tokenizer.chat_template = ...), or use format='plain'"
)
_PAIRS = re.compile("|".join(rf"{re.escape(one)}\s*{re.escape(other)}" for one, other in REASONING))
_REASONS = (
    "the chat template opens reasoning ({!r}) in the prompt: the next token is the first of that, not of an answer, "
    "and an output that ends before {!r} has no reply"
)


def _with_words(template: Template, messages: Messages, open_turn: bool) -> str:
    """The rendered text, with content as text or, where the template drops or refuses that, as a list of parts."""
    fault: PromptError | None = None
    roles = tuple(str(message["role"]) for message in messages)
    for parts in (False, True):
        try:
            text = template(_in_parts(messages) if parts else messages, open_turn=open_turn)
        except TemplateStopped:
            raise
        except PromptError as error:
            fault = fault or error
            continue
        if parts and _LIST.search(text) and not any(_LIST.search(message["content"]) for message in messages):
            continue  # it prints the list itself
        lost = next((words for words in map(_words, messages) if words not in text), None)
        if lost is None and _keeps_words(template, roles, parts):
            return text
        shown = "" if lost is None else f": {one_line(lost, 60)!r} is not in {one_line(text, 200)!r}"
        fault = fault or PromptError(
            f"the chat template drops or changes the words of a message, or their order{shown}; give another one "
            "(tokenizer.chat_template = ...), or use format='plain'"
        )
    assert fault is not None
    raise fault


def _in_parts(messages: Messages) -> list[dict[str, Any]]:
    return [{**message, "content": [{"type": "text", "text": message["content"]}]} for message in messages]


@lru_cache(maxsize=1024)
def _keeps_words(template: Template, roles: tuple[str, ...], parts: bool) -> bool:
    """Whether words that occur nowhere else come through in order: short ones may stand in the template by chance."""
    messages = [{"role": role, "content": f"{_ASKED}{i}"} for i, role in enumerate(roles)]
    try:
        text = template(_in_parts(messages) if parts else messages, open_turn=False)
    except PromptError:  # it may want other words; those that it was given are there
        return True
    places = [text.find(message["content"]) for message in messages]
    turns = [place for place, role in zip(places, roles, strict=True) if role != "system"]  # which some put elsewhere
    return min(places) >= 0 and turns == sorted(turns)


def _words(message: Mapping[str, Any]) -> str:
    """What must stand in the text: a message without blanks around it, and of the assistant's without its reasoning."""
    content = str(message["content"])
    if message["role"] == "assistant":
        content = content.rpartition("</think>")[2]
    return content.strip()

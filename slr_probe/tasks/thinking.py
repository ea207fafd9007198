"""What in an output is the reply: without the reasoning that is marked as such, and without a made-up next turn."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from slr_probe.errors import TaskError
from slr_probe.pair.prompts.reasoning import REASONING, THINK, after_words, begun

__all__ = ["REASONING", "THINK", "is_lead_in", "own_part", "strip_reasoning", "strip_thinking"]

_NEXT_TURN = re.compile(
    r"(?:[#*_>-]+ ?)*(?:(?:next |new )?(?:question|problem|exercise|task|instruction|q)(?: ?\d{1,4})?[*_]*[:.)]"
    r"|(?:user|human)[*_]*:)"
    r"|#+ ?(?:question|problem|exercise|task|instruction|user|human)\b"
    r"|<\|?(?:user|im_start|start_header_id|endoftext|eot_id|im_end|end|turn)\|?>|<start_of_turn>|</?s>|\[INST\]",
    re.IGNORECASE,
)
"""How a line begins on which a model goes on to ask itself the next question. The list is ours."""
_LEAD_IN = re.compile(
    r"\W*(?:sure|of course|certainly|absolutely|definitely|ok|okay|yes|great|alright|all right|got it|no problem|"
    r"here(?: is|'s| are)|let(?: me|'s| us)|i(?: will|'ll|'d| would| can)|happy to|thank|good question|"
    r"(?:the )?(?:solution|reply|response|answer)\W*$)",
    re.IGNORECASE,
)


def is_lead_in(text: str) -> bool:
    """Whether a text only announces an answer, as "Sure!" and "Here is the solution." do."""
    return not text.strip() or (len(text) < 200 and _LEAD_IN.match(text) is not None)


def own_part(text: str, answered: Callable[[str], bool] = lambda part: not is_lead_in(part)) -> str:
    r"""The output up to where it goes on to ask itself another question, as base models do.

    A question that is restated before any answer is given belongs to the reply.

    Args:
        text: Output of a model.
        answered: Whether the part before a question, or between two, holds an answer.

    Examples:
        >>> own_part("7\nQuestion: What is 2 + 2?\nAnswer: 4")
        '7'
        >>> own_part("Sure!\nQ: What is 6 x 7?\nA: 42")
        'Sure!\nQ: What is 6 x 7?\nA: 42'
    """
    start = place = 0  # start: of what was said since the last question
    for line in text.splitlines(keepends=True):
        asks = _NEXT_TURN.match(line.lstrip()) is not None
        if asks and answered(text[start:place]):
            return text[:place].rstrip()
        place += len(line)
        start = place if asks else start
    return text


def strip_reasoning(text: str, tags: Sequence[tuple[str, str]] = REASONING) -> str:
    """The output without reasoning, whichever of the marks it stands between; see `strip_thinking`.

    Args:
        text: Output of a model.
        tags: Pairs of marks. Where there are any, marks with a name that speaks of thinking count as well if the output
            begins with them, and words that announce it.

    Examples:
        >>> strip_reasoning("[THINK]6 x 7[/THINK]42"), strip_reasoning("<my_thoughts>6 x 7</my_thoughts>42")
        ('42', '42')
    """
    for pair in (*tags, *(begun(text) if tags else ())):
        text = strip_thinking(text, pair)
    return after_words(text) if tags else text


def strip_thinking(text: str, tags: tuple[str, str] = THINK) -> str:
    """The output without its marked reasoning, and without spaces around the rest.

    Every closed pair of tags goes, with what is between them; pairs may be nested. An opening tag that is never closed
    (generation ended while the model was thinking) takes all that follows. A closing tag that was never opened takes
    all that precedes it: some chat templates put the opening tag into the prompt.

    Args:
        text: Output of a model.
        tags: Opening and closing tag.

    Raises:
        TaskError: A tag is empty, or both are the same.

    Examples:
        >>> strip_thinking("<think>6 x 7?</think> 42")
        '42'
        >>> strip_thinking("6 x 7?</think> 42")
        '42'
        >>> strip_thinking("<think>6 x")
        ''
    """
    opening, closing = tags
    if not opening or not closing or opening == closing:
        raise TaskError(f"thinking tags must be two different texts, such as {THINK}; got {tags!r}")
    kept, depth, place = "", 0, 0
    while place < len(text):
        found = {tag: text.find(tag, place) for tag in tags}
        nearest = min((at, tag) for tag, at in found.items() if at >= 0) if max(found.values()) >= 0 else None
        end = nearest[0] if nearest else len(text)
        kept += text[place:end] if depth == 0 else ""
        if nearest is None:
            break
        if nearest[1] == opening:
            depth += 1
        elif depth == 0:
            kept = ""
        else:
            depth -= 1
        place = end + len(nearest[1])
    return kept.strip()

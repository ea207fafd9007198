"""Samples of text side by side, one a line, with what ended them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slr_probe.errors import one_line, printable

END, CUT = "[end]", "[cut]"
"""Behind an output that ended by itself, and behind one that ran into the limit of tokens."""
_LONGEST = 100
_SHOWN = 4


def side_by_side(
    prompt: str,
    samples: Mapping[str, tuple[Sequence[str], Sequence[bool]]],
    shown: int = _SHOWN,
    longest: int = _LONGEST,
) -> str:
    r"""Samples of several models for one prompt.

    Args:
        prompt: The user message.
        samples: By model: its texts, and whether each ended by itself, which may be left empty.
        shown: Samples a model, at most.
        longest: Letters of a sample, at most.

    Examples:
        >>> print(side_by_side("Name a colour.", {"tuned": (["red", "red"], [True, True])}))
        > Name a colour.
        tuned  red [end]
               red [end]
    """
    width = max(map(len, samples), default=0)
    lines = [f"> {one_line(prompt, longest)}"]
    for name, (texts, finished) in samples.items():
        marks = [END if ended else CUT for ended in finished] or [""] * len(texts)
        for k, (text, mark) in enumerate(list(zip(texts, marks, strict=True))[:shown]):
            head = printable(name) if k == 0 else ""
            lines.append(f"{head:<{width}}  {one_line(text, longest)} {mark}".rstrip())
    return "\n".join(lines)


def in_cells(texts: Sequence[str], finished: Sequence[bool]) -> list[str]:
    r"""Samples as they were written, each with the mark of what ended it.

    Examples:
        >>> in_cells(["red\n", "and then"], [True, False])
        ['red [end]', 'and then [cut]']
    """
    pairs = zip(texts, finished, strict=True)
    return [f"{printable(text.strip())} {END if ended else CUT}".lstrip() for text, ended in pairs]


def tally(texts: Sequence[str], finished: Sequence[bool]) -> str:
    """How many samples differ, and how many ended by themselves.

    Examples:
        >>> tally(["red", "red "], [True, False])
        '1 different of 2, 1 ended'
    """
    return f"{len({text.strip() for text in texts})} different of {len(texts)}, {sum(finished)} ended"

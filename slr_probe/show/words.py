"""Words and numbers as a page sets them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MINUS = re.compile(r"(?<![\w.:-])-(?=\.?\d)")
_INTERVAL = re.compile(r"\[[^\[\]]{1,40}\]")


def typeset(text: str) -> str:
    r"""Real minus signs before numbers, and intervals that no line breaks.

    Examples:
        >>> typeset("-0.5 [-0.7, -0.3] of self-BLEU, 1:3").replace("\u00a0", "~")
        '−0.5~[−0.7,~−0.3] of self-BLEU, 1:3'
    """
    found = _MINUS.sub("−", text)
    found = _INTERVAL.sub(lambda match: match[0].replace(" ", "\u00a0"), found)
    return re.sub(r"(\d%?) (?=\[)", "\\1\u00a0", found)


def listed(names: Sequence[str]) -> str:
    """Names joined by commas and "and".

    Examples:
        >>> listed(["a"]), listed(["a", "b", "c"])
        ('a', 'a, b and c')
    """
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def short_task(name: str) -> str:
    """A task's name without its remark in brackets."""
    return re.sub(r" \([^()]*\)$", "", name)

"""Format constraints of a prompt that can be checked exactly: length, lines, words that must or must not appear."""

from __future__ import annotations

import re
from collections.abc import Callable

from slr_probe.errors import TaskError
from slr_probe.stats.diversity.lexical import split_words
from slr_probe.tasks.listed import key, whole_words

Constraint = tuple[str, str | int]


def words(text: str) -> int:
    """Number of words that have a letter or a digit in them; see `split_words` for scripts without spaces."""
    return sum(any(map(str.isalnum, word)) for word in split_words(text))


def lines(text: str) -> int:
    """Number of lines that are not blank."""
    return sum(bool(line.strip()) for line in text.splitlines())


def paragraphs(text: str) -> int:
    """Number of blocks of lines with blank lines between them."""
    return sum(bool(block.strip()) for block in re.split(r"\n\s*\n", text))


def mentions(text: str, phrase: str) -> bool:
    """Whether the phrase appears as whole words, in any case, singular or with a plural or possessive ending."""
    return whole_words((key(phrase),)).search(key(text)) is not None


_NUMERIC: dict[str, Callable[[str, int], bool]] = {
    "max_words": lambda text, bound: words(text) <= bound,
    "min_words": lambda text, bound: words(text) >= bound,
    "lines": lambda text, bound: lines(text) == bound,
    "max_lines": lambda text, bound: lines(text) <= bound,
    "min_lines": lambda text, bound: lines(text) >= bound,
    "paragraphs": lambda text, bound: paragraphs(text) == bound,
}
_TEXTUAL: dict[str, Callable[[str, str], bool]] = {
    "contains": mentions,
    "avoids": lambda text, phrase: not mentions(text, phrase),
    "starts_with": lambda text, start: text.lstrip("\"'“‘*# \n").casefold().startswith(start.casefold()),
    "ends_with": lambda text, end: text.rstrip("\"'”’* \n").casefold().endswith(end.casefold()),
}
KNOWN = (*_NUMERIC, *_TEXTUAL)


def holds(constraint: Constraint, text: str) -> bool:
    """Whether an output meets one constraint.

    `max_words`, `min_words`, `lines`, `max_lines`, `min_lines` (blank lines do not count) and `paragraphs` take a
    number; `contains` and `avoids` a phrase of whole words; `starts_with` and `ends_with` a text (quotation marks
    and asterisks around the output are passed over; case does not matter).

    Examples:
        >>> holds(("max_words", 3), "one two - three"), holds(("contains", "moon"), "Moons shine")
        (True, True)
    """
    name, bound = constraint
    return _NUMERIC[name](text, int(bound)) if name in _NUMERIC else _TEXTUAL[name](text, str(bound))


def check_constraint(constraint: object) -> Constraint:
    """The constraint as a tuple.

    Raises:
        TaskError: It is no (name, value) pair, its name is unknown, or its value is of the wrong type or empty.
    """
    if not isinstance(constraint, (tuple, list)) or len(constraint) != 2 or not isinstance(constraint[0], str):
        raise TaskError(f'a constraint is a pair such as ("max_words", 80); got {constraint!r}')
    name, bound = constraint
    if name not in KNOWN:
        raise TaskError(f"unknown constraint {name!r}; expected one of {', '.join(KNOWN)}")
    if name in _NUMERIC and (isinstance(bound, bool) or not isinstance(bound, int) or bound < 1):
        raise TaskError(f"the constraint {name!r} takes a whole number from 1; got {bound!r}")
    if name in _TEXTUAL and not (isinstance(bound, str) and bound.strip()):
        raise TaskError(f"the constraint {name!r} takes a text; got {bound!r}")
    if name in ("contains", "avoids") and not key(bound):
        raise TaskError(f"the constraint {name!r} takes a phrase with letters or digits; got {bound!r}")
    return name, bound

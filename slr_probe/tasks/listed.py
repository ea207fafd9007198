"""Which of the accepted answers an output names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from slr_probe.tasks.thinking import own_part

Answers = tuple[tuple[str, ...], ...]

_LETTERS = str.maketrans(
    {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th"}
    | {"æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ß": "ss", "ı": "i"}
    | dict.fromkeys("'’‘ʻʼ`", "")
)
_ORDINARY = frozenset({"may", "march", "lead", "turkey", "chad", "will", "polish", "august", "chile", "time", "even"})
"""Names that are also ordinary words. Written small, they are the answer only if no other answer is named."""
_REFUSAL = re.compile(
    r"\b(?:as an ai|i (?:do not|dont) know|i(?:m| am) (?:sorry|not sure)|"
    r"i (?:cannot|cant|can not|am unable to|am not able to|will not|wont) "
    r"(?:help|assist|answer|provide|choose|comply|fulfil|fulfill|respond|do|name))\b",
    re.IGNORECASE,
)


def plain_words(text: str) -> str:
    """Letters and digits of a text, words apart by one space; no diacritics, no apostrophes; case is kept.

    Examples:
        >>> plain_words("Côte d’Ivoire, or: São Tomé-and-Príncipe!")
        'Cote dIvoire or Sao Tome and Principe'
    """
    bare = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    return " ".join(re.sub(r"[\W_]+", " ", "".join(c for c in bare if not unicodedata.combining(c))).split())


def key(text: str) -> str:
    """What two spellings have in common if they are one: `plain_words` without case."""
    return plain_words(text).casefold()


def first_line(text: str) -> str | None:
    """The first line with words in it, as a `key`; None for a refusal or no words."""
    if _REFUSAL.search(plain_words(text)):
        return None
    return next((line for line in map(key, own_part(text).splitlines()) if line), None)


def read_listed(answers: Answers, text: str) -> str | None:
    """The accepted answer that the output names first, in its canonical (first) spelling.

    Whole words are compared without case, diacritics and punctuation; a plural or possessive ending is allowed. Where
    one answer is part of another ("Guinea", "Guinea-Bissau"), the longest counts. Names that are also
    ordinary words ("may") count in small letters only if nothing else is named. Negation is not understood: "not Mars"
    names Mars. Where no accepted answer is named, the answer is the first line, so that different wrong answers
    differ; None for a refusal and for nothing. The rules are ours.

    Args:
        answers: Accepted answers, each a tuple of spellings.
        text: Output of a model, without marked reasoning.

    Examples:
        >>> read_listed((("Guinea",), ("Guinea-Bissau",)), "I would say guinea bissau.")
        'Guinea-Bissau'
        >>> read_listed((("Mars",),), "Pluto!")
        'pluto'
    """
    plain = plain_words(own_part(text))
    weak = None
    for name, spelling in _named(answers, plain):
        if not (spelling.islower() and spelling in _ORDINARY) or spelling == plain.casefold():
            return name
        weak = weak or name
    return weak or first_line(text)


def read_exact(answers: Answers, text: str) -> str | None:
    """The accepted answer that is the whole output, or its first line; otherwise as `read_listed`.

    Examples:
        >>> read_exact((("a book", "Maybe a book."),), "maybe a book")
        'a book'
        >>> read_exact((("a book",),), "Read a book.")
        'read a book'
    """
    names = _index(answers)[1]
    line = first_line(text)
    whole = names.get(key(own_part(text)))
    return whole or (names.get(line, line) if line is not None else None)


def _named(answers: Answers, plain: str) -> Iterator[tuple[str, str]]:
    """Canonical name and text of each accepted answer in the text, from left to right."""
    pattern, names = _index(answers)
    for match in pattern.finditer(plain):
        yield names[match[1].casefold()], match[1]


@lru_cache(maxsize=4096)
def _index(answers: Answers) -> tuple[re.Pattern[str], dict[str, str]]:
    names = {key(spelling): group[0] for group in answers for spelling in group}
    longest_first = sorted(names, key=len, reverse=True)
    pattern = r"\b(" + "|".join(map(re.escape, longest_first)) + r")(?:s|es)?\b"
    return re.compile(pattern, re.IGNORECASE), names

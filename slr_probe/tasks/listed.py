"""Which of the accepted answers an output names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from functools import lru_cache

from slr_probe.stats.diversity.lexical import SIGNS, UNSPACED
from slr_probe.tasks.thinking import own_part

Answers = tuple[tuple[str, ...], ...]

_LETTERS = str.maketrans(
    {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th"}
    | {"æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ß": "ss", "ı": "i"}
    | dict.fromkeys("'’‘ʻʼ`", "")
)
_OPTIONAL = re.compile(
    "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"  # Latin, Greek, Cyrillic
    "\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"  # Hebrew, Arabic
    "\u00ad\u200b-\u200d\u2060\ufe00-\ufe0f\ufeff]"  # joiners and other characters that nobody sees
)
_UNSPACED_START = re.compile(f"[{UNSPACED}]")
_OPEN_END = re.compile(f"[{UNSPACED}\uac00-\ud7a3]$")  # or Hangul, onto which particles are written
_BREVE = "\u0306"
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

    Signs that make another letter (vowels of Devanagari and Thai, voicing of kana, the breve of й) are kept; points
    that may be left out (Hebrew, Arabic) are not.

    Examples:
        >>> plain_words("Côte d’Ivoire, or: São Tomé-and-Príncipe!")
        'Cote dIvoire or Sao Tome and Principe'
    """
    text = text.translate(_LETTERS)
    if not text.isascii():
        text = _without_diacritics(text)
    return " ".join("".join(letter if _in_word(letter) else " " for letter in text).split())


def _in_word(letter: str) -> bool:
    return letter.isalnum() or (not letter.isascii() and unicodedata.category(letter)[0] == "M")


def _without_diacritics(text: str) -> str:
    letters: list[str] = []
    for letter in unicodedata.normalize("NFKD", text):
        kept = _OPTIONAL.match(letter) is None or (letter == _BREVE and letters[-1:] in (["и"], ["И"]))
        letters += [letter] if kept else []
    return unicodedata.normalize("NFC", "".join(letters))


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


def whole_words(names: Collection[str]) -> re.Pattern[str]:
    """Finds the longest of the names where it is a word of its own, perhaps before a plural or possessive ending.

    Names and text are `plain_words`. Chinese, Japanese and Thai put no space around a word, and particles are written
    onto Korean ones, so there a name counts inside a longer word.
    """
    kinds: dict[tuple[str, str], list[str]] = {}
    for name in sorted(names, key=len, reverse=True):
        before = "" if _UNSPACED_START.match(name) else r"(?<!\S)"
        after = rf"(?![{SIGNS}])" if _OPEN_END.search(name) else r"(?=(?:s|es)?(?!\S))"
        kinds.setdefault((before, after), []).append(re.escape(name))
    alternatives = (f"{before}(?:{'|'.join(kind)}){after}" for (before, after), kind in kinds.items())
    return re.compile("|".join(alternatives), re.IGNORECASE)


def _named(answers: Answers, plain: str) -> Iterator[tuple[str, str]]:
    """Canonical name and text of each accepted answer in the text, from left to right."""
    pattern, names = _index(answers)
    for match in pattern.finditer(plain):
        yield names[match[0].casefold()], match[0]


@lru_cache(maxsize=4096)
def _index(answers: Answers) -> tuple[re.Pattern[str], dict[str, str]]:
    names = {key(spelling): group[0] for group in answers for spelling in group}
    return whole_words(names), names

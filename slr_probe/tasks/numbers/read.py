"""Which number an output gives as its answer."""

from __future__ import annotations

import re
from fractions import Fraction

from slr_probe.tasks.numbers.simplify import TOO_LARGE, simplify
from slr_probe.tasks.numbers.spelling import DIGITS, PLAIN, spell_number
from slr_probe.tasks.thinking import own_part

_NUMBER = re.compile(
    r"(?<![\^\d])(?:(?P<sign>-)\s?)?(?:[$€£](?P<inner>-)?)?"
    rf"(?:(?P<whole>\d+)[ ](?P<above>\d+)/(?P<under>\d+)(?![\d/]|\.\d)"
    rf"|(?P<first>{PLAIN})(?P<exponent>[eE][+-]?\d+(?!\w))?(?P<below>(?:/\d+(?:\.\d+)?)*))"
)
_SYMBOL = re.compile(r"(?<=\d)(?:[abcijknpqrtuvwxyz](?![A-Za-z])|e(?![\w+-]))|[A-Za-z]\^|-\(|\d!")  # not 3m, 3g, 3h
_MEASURE = r"(?:hours?|hrs?|h|min(?:ute)?s?|days?|weeks?|months?|years?|feet|foot|ft|pounds?|lbs?)"
_GOES_ON = re.compile(
    r"\s?(?:[-+*/÷×·±^xX]|\+/-|\\times|\\cdot|\\div|\\pm)\s?[$€£(]?\d|(?:\s:\s|:)\d|,\d|/\d|\(\d"
    r"|(?: [a-z]{1,12})?,? (?:and|(?P<either>or)|to(?! \d{1,3} (?:dec|sig))|out of|over|remainder|&)"
    r" (?:about )?[$€£]?(?=\d)|\s\.\."
    rf"|(?:\.{{3}}|\s?…)\s?\d|,? [$€£]?\.?\d[\d.]{{0,19}}(?= ?(?:[.,;!)}}\]]*$|and\b|or\b))|,? {_MEASURE},? \d+ ?[a-z]"
)
"""After a number: a sum, product, ratio, range, list or decimal comma, which is no number, and neither is its part."""
_BOUND = re.compile(r"(?:[<>≤≥]|\b(?:less|more|fewer|greater) than|\bnot)\s?$")
_SEVERAL = re.compile(r"\b[a-z]\s?=[^=]{1,60}(?:[,;]|\bor\b|\band\b)\s{0,3}[a-z]\s?=")
_UNREADABLE = "?"
_HASHES = re.compile(r"####[ \t]*([^\n]*)")
_VERB = r"(?:is|are|was)(?!n['’]t|\s{1,3}not\b)"
_STATED = re.compile(rf"\banswer\b\s{{0,3}}(?:{_VERB}|=|:|of\b)(?:\s{{0,3}}(?:=|:))?\s{{0,9}}", re.IGNORECASE)
_SENTENCE = re.compile(r"[.!?;](?=\s|$)")
_LONGEST_STATEMENT, _LAST_STATEMENTS = 400, 50  # in characters; a model that repeats itself says "answer" for ever
_LEAD = re.compile(r"^\s*(?:-\s+|(?:minus|negative)\s)(?=[\d.$€£])", re.IGNORECASE)
_UNIT = re.compile(r"(?:[ ]?[a-z%°/$€£][^ ]{0,30})?(?: [a-z(][^ ]{0,30}){0,3}[.!]?")


def read_number(text: str) -> str | None:
    r"""The number that an output gives as its answer, in one spelling for each value; None if it names none.

    The first of these rules that finds an answer decides, and of several places the last one:

    1. `\boxed{42}`;
    2. `#### 42` (GSM8K), with a unit at most: `#### Step 2` and `#### 2. Solve` are headings;
    3. a statement: "the answer is 42", "Answer: 42". In the rest of its sentence the first number counts, or of an
       equation its value ("the answer is 4 + 3 = 7", "the answer is 42 = 6 * 7"). Sentences about a total or a result
       are no such statement: worked steps have them on the way;
    4. the last number of the output, unless it is a part of something longer ("10 - 4", "5 and 6", a date) or a bound.

    Read are digits with marks between thousands, decimals, exponents (`1e5`, `3 \times 10^5`, `2^{10}`, `2 million`),
    fractions and mixed numbers (`3/4`, `\frac{3}{4}`, `3 1/2`, `½`), a sign, a currency symbol before and any unit
    after, with its own exponent (`12 cm^2`). A minus after a digit or a bracket is an operator. A box, a line after
    `####` and a statement are read whole or not at all: words, roots, products, ranges, times, bounds and pairs are no
    number, nor is anything of more than 100 digits. These rules are ours.

    Args:
        text: Output of a model, without marked reasoning.

    Examples:
        >>> read_number("4 + 3 = 7. So the answer is $1,250.50 in all, for 3 people.")
        '1250.5'
        >>> read_number("12 - 15 leaves \\boxed{-3}"), read_number("\\boxed{12\\text{ cm}^2}")
        ('-3', '12')
        >>> read_number("No idea.") is None
        True
    """
    own = own_part(text, answered=lambda part: any(map(str.isdigit, part)))
    box = last_box(own)
    if box is not None and any(map(str.isdigit, box)):
        return _whole(simplify(box))
    plain = simplify(own)
    for line in reversed(_HASHES.findall(plain)):
        number = _marked(line)
        if number not in (None, _UNREADABLE):
            return number
    for match in reversed(list(_STATED.finditer(plain))[-_LAST_STATEMENTS:]):
        number = _stated(plain[match.end() : match.end() + _LONGEST_STATEMENT].partition("\n")[0])
        if number is not None:
            return number if number != _UNREADABLE else None
    ending = _HASHES.findall(plain.rstrip().rpartition("\n")[2])
    return None if any(_marked(line) == _UNREADABLE for line in ending) else _last(plain.rpartition(TOO_LARGE)[2])


def canonical_number(text: str) -> str | None:
    """One spelling for a text that is one number (with currency or unit symbol at most); None for any other text.

    Examples:
        >>> canonical_number("1,000.0"), canonical_number("$-2.50"), canonical_number("x + 1")
        ('1000', '-2.5', None)
    """
    plain = simplify(text).strip().rstrip("%°. ")
    return _spell(match, plain) if (match := _NUMBER.fullmatch(plain)) else None


def last_box(text: str) -> str | None:
    r"""What the last `\boxed{}` holds, whose braces may be nested; None where there is no (closed) box."""
    start = text.rfind("\\boxed")
    first = text.find("{", start) + 1 if start >= 0 else 0
    if not first or text[start + len("\\boxed") : first - 1].strip():
        return None
    depth = 0
    for place in range(first - 1, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[first:place]
    return None


def _whole(text: str) -> str | None:
    """The number of a text that holds one number, perhaps as the value of an equation, and no other mathematics."""
    text = _LEAD.sub("-", text)
    if "=" in text:
        return None if _SEVERAL.search(text) else _equation(text)
    numbers = _numbers(text)
    symbolic = any(mark in text for mark in "\\<>≤≥|") or _SYMBOL.search(text) or text.count("/") > 1
    bound = numbers and _BOUND.search(_NUMBER.split(text, maxsplit=1)[0])
    return numbers[0] if len(numbers) == 1 and not symbolic and not bound else None


def _marked(line: str) -> str | None:
    """The number of a line after `####`, if that is a number with a unit at most."""
    line = _LEAD.sub("-", re.sub(r"^(?:final )?answer:?\s|^the answer is\s", "", line.strip(), flags=re.IGNORECASE))
    match = _NUMBER.match(line)
    if match is None:
        return _UNREADABLE if line.startswith(TOO_LARGE.strip()) else None
    if re.match(r"\s?=", line[match.end() :]):
        return _equation(line)
    whole = _UNIT.fullmatch(line, match.end()) and not _SYMBOL.match(line, match.end())
    return _spell(match, line) if whole else _UNREADABLE if _goes_on(match, line) else None


def _stated(rest: str) -> str | None:
    sentence = _SENTENCE.split(_LEAD.sub("-", rest), maxsplit=1)[0]
    if "=" in sentence:
        return _UNREADABLE if _SEVERAL.search(sentence) else _equation(sentence)
    first = _NUMBER.search(sentence)
    before = sentence[: first.start()] if first else sentence
    if TOO_LARGE.strip() in before or _BOUND.search(before[-20:]):
        return _UNREADABLE
    if first is None:
        return None
    return _UNREADABLE if _goes_on(first, sentence) else _spell(first, sentence)


def _last(text: str) -> str | None:
    """The last number of a text, unless it is a part of something longer or a bound."""
    found = list(_NUMBER.finditer(text))
    if not found:
        return None
    last, before = found[-1], found[-2] if len(found) > 1 else None
    pairs = [match.end() for match in _SEVERAL.finditer(text) if match.end() <= last.start()]
    if (
        _goes_on(last, text)
        or _BOUND.search(text[: last.start()][-20:])
        or (pairs and not text[pairs[-1] : last.start()].strip())
    ):
        return None
    rest = _GOES_ON.match(text, before.end()) if before else None
    if before and rest and rest.end() >= last.start() and not (rest["either"] and not _goes_on(before, text)):
        return None
    return _spell(last, text)


def _goes_on(match: re.Match[str], text: str) -> bool:
    """Whether the number is a part of a longer expression."""
    rest = _GOES_ON.match(text, match.end())
    other = _NUMBER.match(text, rest.end()) if rest and rest["either"] else None
    if other:  # "0.5 or 1/2" is one number
        return _spell(other, text) != _spell(match, text)
    return bool(rest or match[0].count("/") > 1 or _SYMBOL.match(text, match.end()))


def _equation(text: str) -> str | None:
    """The value of an equation: its single number before "=", if a sum or product follows; else what follows."""
    before, after = _numbers(text.partition("=")[0]), _numbers(text.rpartition("=")[2])
    first = before if not after or (len(before) == 1 and len(after) > 1) else after
    return first[0] if first else None


def _numbers(text: str) -> list[str | None]:
    """Every number of the text in its one spelling, None for one that is too large."""
    return [_spell(match, text) for match in _NUMBER.finditer(text)]


def _spell(match: re.Match[str], text: str) -> str | None:
    value = _value(match)
    if value is None:
        return None
    return spell_number(-value if _negative(match, text) else value)


def _value(match: re.Match[str]) -> Fraction | None:
    exponent = match["exponent"] or ""
    if len(match[0]) > DIGITS or (exponent and abs(int(exponent[1:])) > DIGITS):
        return None
    if match["whole"]:
        under = int(match["under"])
        return int(match["whole"]) + Fraction(int(match["above"]), under) if under else None
    first = Fraction(match["first"].replace(",", "").replace(" ", "") + exponent)
    parts = [Fraction(part) for part in match["below"].split("/")[1:]]
    if len(parts) > 1 or (parts and not parts[0]):  # a date, or a division by zero
        return None
    return first / parts[0] if parts else first


def _negative(match: re.Match[str], text: str) -> bool:
    """Whether the minus is a sign: it touches the number, and nothing stands before it that it could subtract from."""
    if match["inner"]:
        return True
    if not match["sign"] or text[match.end("sign")].isspace():
        return False
    start = match.start("sign")
    before = text[max(0, start - 20) : start]
    if before[-1:].isalnum() or before[-1:] in (")", "]", "}", "/", "."):
        return False
    operand = before.rstrip(" ")[-1:]
    return not (operand.isdigit() or operand == ")")

r"""The final number of a worked solution: one grammar, which reads a whole number expression or none.

Written by hand. math-verify 0.9 compares symbolic expressions: it brings SymPy, ANTLR and a parser of LaTeX, evaluates
without a bound on size, and stops itself by a signal, which works in the main thread only. Of 150 outputs of the kinds
below (units with exponents, fractions, powers, minus signs, headings, equations, questions that go on), 144 are read
right here and 95 by it, which takes 7 to 50 ms for each and did not come back from three of them. Here an answer is one
rational number, and its spelling must be the same for every way to write it.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

from slr_probe.tasks.thinking import own_part

_DIGITS = 100
"""Longest number in digits, and largest power of ten, that is read; longer ones are no answer. Ours."""
_GAP = r"[ \t]{0,3}"
_PLAIN = r"(?:\d{1,3}(?:,\d{3}){1,33}(?!,?\d)|\d{1,3}(?: \d{3}){1,33}(?![ ,]?\d|\.\d*/)|\d+)(?:\.\d+)?|\.\d+"
_NUMBER = re.compile(
    r"(?<![\^\d])(?:(?P<sign>-)\s?)?(?:[$€£](?P<inner>-)?)?"
    rf"(?:(?P<whole>\d+)[ ](?P<above>\d+)/(?P<under>\d+)(?![\d/]|\.\d)"
    rf"|(?P<first>{_PLAIN})(?P<exponent>[eE][+-]?\d+(?!\w))?(?P<below>(?:/\d+(?:\.\d+)?)*))"
)
_INTEGER = r"\{?\s{0,3}([+-]?\d+)(?!\d|[./]\d)\s{0,3}\}?"
_SCIENTIFIC = re.compile(rf"(?<![\d.])({_PLAIN}){_GAP}(?:\\times|\\cdot|[×·⋅*xX]){_GAP}10{_GAP}\^{_GAP}{_INTEGER}")
_POWER = re.compile(rf"(?<![\d.])(?:\(\s?(-?\d+(?:\.\d+)?)\s?\)|(\d+(?:\.\d+)?)){_GAP}\^{_GAP}{_INTEGER}")
_NAMED = {"hundred": 2, "thousand": 3, "lakh": 5, "million": 6, "crore": 7, "billion": 9, "trillion": 12}
_SCALES = _NAMED | {"k": 3, "m": 6, "b": 9, "t": 12}
_SCALED = re.compile(rf"(?<![\d.,])({_PLAIN})((?:(?:{_GAP}|-)(?:{'|'.join(_NAMED)})s?\b){{1,3}})", re.IGNORECASE)
_NAME = re.compile("|".join(_NAMED), re.IGNORECASE)
_DOZEN = re.compile(rf"(?<![\d.,/])({_PLAIN})(?:{_GAP}|-)dozens?\b", re.IGNORECASE)
_MONEY = re.compile(rf"(?<=[$€£])({_PLAIN})([kKMBT])\b")
_UNIT_POWER = re.compile(rf"(?<=[A-Za-zµΩ°%)}}]){_GAP}\^{_GAP}{_INTEGER}")
_UNIT_DIGIT = re.compile(r"(?<![A-Za-z])((?:[kcdmn]?m|ft|in|yd|mi))[23]\b")
_UNREAD_POWER = re.compile(rf"[\w.)}}]{{1,200}}{_GAP}\^{_GAP}(?:\{{[^{{}}]{{0,200}}\}}|[^\s]{{1,200}})")
_UNREAD = re.compile(
    r"\d{0,20}(?:\\?\bsqrt|\\sqrt|[√∛∜])(?:\[\d{1,3}\])?\s?(?:\{[^{}]{0,200}\}|\([^()]{0,200}\)|[\d.]{0,20})"
    r"|(?<![\d.,])[\d.,]{1,20}\s?(?:\\?pi\b|[π∞])|(?<![\d.:])\d{1,20}(?:\.\d{1,20}){2,9}|(?<![\d:])\d{1,20}(?::\d{1,20})+"
    r"|\d{1,3}h\d{1,2}\b|\b\d{1,20}['′]\s?\d{1,20}|\b0[xXoObB][0-9A-Fa-f]{1,100}\b|\b\d{1,20}_\{?\d{1,3}\}?"
    r"|\b\d{1,20}\s?\(?(?:in )?base[ -]\d{1,2}\)?|\d{0,20}\.\d{1,20}(?:\.{3}|…|[\u0304\u0305\u0307]|\(\d{1,20}\))"
    r"|\d{0,20}\.\d{0,20}\\(?:overline|bar|dot)\b(?:\{\d{1,20}\})?|(?<![\w$€£.,])\d[\d.,]{0,20}[kKMBT]\b"
)
"""Roots, multiples of π, versions, times, feet with inches, digits of another base, decimals that go on for ever, and
`5k`, which may be a distance: no number, and neither is a part of them."""
_NAMES = re.compile(r"(?<![\w\\$.])(?!(?:USD|EUR|GBP|CAD|AUD|INR|Rs)\d)[A-Za-z]{1,20}\d\w{0,50}")
"""Names with a number in them: A4, H2O, x1."""
_OPERAND = r"(?:\{\s{0,3}(-?)\s{0,3}(\d[\d,]*(?:\.\d+)?)\s{0,3}\}|(\d))"
_FRACTION = re.compile(rf"(?:(\d)\s{{0,3}})?\\[dtc]?frac\s{{0,3}}{_OPERAND}\s{{0,3}}{_OPERAND}")
_VULGAR = re.compile("(?:(\\d) ?)?([¼-¾⅐-⅞])")
_SUPERSCRIPT = re.compile("[⁻⁺]?[⁰¹²³⁴-⁹]+")
_WORDS = re.compile(r"\\(?:text(?:bf|it|rm|sf|tt)?|math(?:rm|bf|it|sf)|mbox|operatorname)\s{0,3}\{([^{}]*)\}")
_SPACE = re.compile(
    r"\^\s?\{?\s?\\circ\s?\}?|\\(?:left|right|displaystyle|degree|q?quad)\b|\\[ ,;:>()]"
    r"|(?<=[A-Za-z])\\cdot(?=\s?[A-Za-z])"
)
_MARKS = str.maketrans(dict.fromkeys("‐‑‒–−﹣－˗➖", "-") | {"٫": ".", "．": ".", "٬": ",", "⁄": "/"})
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
_TOO_LARGE = " \\unread "
"""Put in the place of an expression that is not worked out, so that no part of it is read as a number."""
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
        return _whole(_simplify(box))
    plain = _simplify(own)
    for line in reversed(_HASHES.findall(plain)):
        number = _marked(line)
        if number not in (None, _UNREADABLE):
            return number
    for match in reversed(list(_STATED.finditer(plain))[-_LAST_STATEMENTS:]):
        number = _stated(plain[match.end() : match.end() + _LONGEST_STATEMENT].partition("\n")[0])
        if number is not None:
            return number if number != _UNREADABLE else None
    ending = _HASHES.findall(plain.rstrip().rpartition("\n")[2])
    return None if any(_marked(line) == _UNREADABLE for line in ending) else _last(plain.rpartition(_TOO_LARGE)[2])


def canonical_number(text: str) -> str | None:
    """One spelling for a text that is one number (with currency or unit symbol at most); None for any other text.

    Examples:
        >>> canonical_number("1,000.0"), canonical_number("$-2.50"), canonical_number("x + 1")
        ('1000', '-2.5', None)
    """
    plain = _simplify(text).strip().rstrip("%°. ")
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


def spell_number(value: Fraction) -> str:
    """The one spelling of a value: an integer, else a decimal where it ends, else a fraction in lowest terms.

    Examples:
        >>> spell_number(Fraction(4, 2)), spell_number(Fraction(-1, 8)), spell_number(Fraction(2, 6))
        ('2', '-0.125', '1/3')
    """
    if value.denominator == 1:
        return str(value.numerator)
    rest, places = value.denominator, 0
    for prime in (2, 5):
        count = 0
        while rest % prime == 0:
            rest, count = rest // prime, count + 1
        places = max(places, count)
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def _simplify(text: str) -> str:
    """The text without markup, its fractions as `a/b` and its powers worked out."""
    text = re.sub(r"(?<=\d)\*\*(?=\d)", "^", text.translate(_MARKS)).replace("**", "").replace("__", "")
    text = re.sub("(?<=\\d)(?:\\\\,|[\u00a0\u202f\u2009，'’_])(?=\\d{3}(?!\\d))", ",", text)
    text = re.sub("(?<=\\d)~(?=\\d)", "-", text)
    for mark, plain in (("{,}", ","), ("\\$", "$"), ("\\%", "%"), ("\\!", ""), ("~", " ")):
        text = text.replace(mark, plain)
    text = _SPACE.sub(" ", _WORDS.sub(r"\1", text))
    text = _VULGAR.sub(_vulgar, _FRACTION.sub(_fraction, text))
    text = _SUPERSCRIPT.sub(lambda match: "^" + unicodedata.normalize("NFKC", match[0]).replace("−", "-"), text)
    text = _SCIENTIFIC.sub(lambda match: _scaled(match[1], match[2]), text)
    text = _POWER.sub(lambda match: _power(match[1] or match[2], match[3]), text)
    text = _MONEY.sub(lambda match: _scaled(match[1], str(_SCALES[match[2].lower()])), text)
    text = _SCALED.sub(lambda match: _scaled(match[1], str(_exponent(match[2]))), text)
    text = _DOZEN.sub(lambda match: _scaled(match[1], "0", 12), text)
    text = _UNREAD.sub(lambda _: _TOO_LARGE, text)
    return _NAMES.sub(" ", _UNREAD_POWER.sub(lambda _: _TOO_LARGE, _UNIT_DIGIT.sub(r"\1", _UNIT_POWER.sub("", text))))


def _fraction(match: re.Match[str]) -> str:
    before, minus, above, digit, other_minus, below, other_digit = match.groups(default="")
    sign = "-" if bool(minus) != bool(other_minus) else ""
    above, below = above.replace(",", ""), below.replace(",", "")
    return f"{before}{' ' if before else ''}{sign}{above or digit}/{below or other_digit}"


def _vulgar(match: re.Match[str]) -> str:
    fraction = unicodedata.normalize("NFKC", match[2]).replace("⁄", "/")
    return f"{match[1]} {fraction}" if match[1] else fraction


def _exponent(names: str) -> int:
    """Of "hundred thousand": 5."""
    return sum(_NAMED[name.lower()] for name in _NAME.findall(names))


def _scaled(factor: str, exponent: str, times: int = 1) -> str:
    if len(factor) > _DIGITS or len(exponent) > 4 or abs(int(exponent)) > _DIGITS:
        return _TOO_LARGE
    return spell_number(times * Fraction(factor.replace(",", "").replace(" ", "")) * Fraction(10) ** int(exponent))


def _power(base: str, exponent: str) -> str:
    if len(exponent) > 4 or len(base) * abs(int(exponent)) > _DIGITS or (int(exponent) < 0 and not Fraction(base)):
        return _TOO_LARGE
    return spell_number(Fraction(base) ** int(exponent))


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
        return _UNREADABLE if line.startswith(_TOO_LARGE.strip()) else None
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
    if _TOO_LARGE.strip() in before or _BOUND.search(before[-20:]):
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
    if len(match[0]) > _DIGITS or (exponent and abs(int(exponent[1:])) > _DIGITS):
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

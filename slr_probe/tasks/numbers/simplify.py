"""Mathematical text without its markup: fractions as `a/b`, powers and scales worked out, what is no number masked."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

from slr_probe.tasks.numbers.spelling import DIGITS, PLAIN, spell_number

_GAP = r"[ \t]{0,3}"
_INTEGER = r"\{?\s{0,3}([+-]?\d+)(?!\d|[./]\d)\s{0,3}\}?"
_SCIENTIFIC = re.compile(rf"(?<![\d.])({PLAIN}){_GAP}(?:\\times|\\cdot|[×·⋅*xX]){_GAP}10{_GAP}\^{_GAP}{_INTEGER}")
_POWER = re.compile(rf"(?<![\d.])(?:\(\s?(-?\d+(?:\.\d+)?)\s?\)|(\d+(?:\.\d+)?)){_GAP}\^{_GAP}{_INTEGER}")
_NAMED = {"hundred": 2, "thousand": 3, "lakh": 5, "million": 6, "crore": 7, "billion": 9, "trillion": 12}
_SCALES = _NAMED | {"k": 3, "m": 6, "b": 9, "t": 12}
_SCALED = re.compile(rf"(?<![\d.,])({PLAIN})((?:(?:{_GAP}|-)(?:{'|'.join(_NAMED)})s?\b){{1,3}})", re.IGNORECASE)
_NAME = re.compile("|".join(_NAMED), re.IGNORECASE)
_DOZEN = re.compile(rf"(?<![\d.,/])({PLAIN})(?:{_GAP}|-)dozens?\b", re.IGNORECASE)
_MONEY = re.compile(rf"(?<=[$€£])({PLAIN})([kKMBT])\b")
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
TOO_LARGE = " \\unread "
"""Put in the place of an expression that is not worked out, so that no part of it is read as a number."""


def simplify(text: str) -> str:
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
    text = _UNREAD.sub(lambda _: TOO_LARGE, text)
    return _NAMES.sub(" ", _UNREAD_POWER.sub(lambda _: TOO_LARGE, _UNIT_DIGIT.sub(r"\1", _UNIT_POWER.sub("", text))))


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
    if len(factor) > DIGITS or len(exponent) > 4 or abs(int(exponent)) > DIGITS:
        return TOO_LARGE
    return spell_number(times * Fraction(factor.replace(",", "").replace(" ", "")) * Fraction(10) ** int(exponent))


def _power(base: str, exponent: str) -> str:
    if len(exponent) > 4 or len(base) * abs(int(exponent)) > DIGITS or (int(exponent) < 0 and not Fraction(base)):
        return TOO_LARGE
    return spell_number(Fraction(base) ** int(exponent))

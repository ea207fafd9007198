"""One spelling for each value, and how digits are written."""

from __future__ import annotations

from fractions import Fraction

DIGITS = 100
"""Longest number in digits, and largest power of ten, that is read; longer ones are no answer. Ours."""
PLAIN = r"(?:\d{1,3}(?:,\d{3}){1,33}(?!,?\d)|\d{1,3}(?: \d{3}){1,33}(?![ ,]?\d|\.\d*/)|\d+)(?:\.\d+)?|\.\d+"


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

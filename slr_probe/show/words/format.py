"""Numbers, intervals, names and tables as text. A number that is missing (None, NaN, infinite) is left blank."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from slr_probe.stats.interval import Interval

SMALLEST_P = 0.001
"""A p-value below it is only said to be below it."""
_MINUS = re.compile(r"(?<![\w.:-])-(?=\.?\d)")
_INTERVAL = re.compile(r"\[[^\[\]]{1,40}\]")


# -- numbers ---------------------------------------------------------------------------------------------------------


def missing(value: float | None) -> bool:
    """Whether there is no number to show: None, NaN or infinite."""
    return value is None or not math.isfinite(value)


def number(value: float | None, spec: str = ".3g", *, blank: str = "") -> str:
    """A number as its format specification says.

    Examples:
        >>> number(0.12345), number(0.5, "+.2f"), number(float("nan")), number(None, blank="undefined")
        ('0.123', '+0.50', '', 'undefined')
    """
    return blank if value is None or missing(value) else format(value, spec)


def estimate(
    interval: Interval, at: Any, spec: str = ".3f", limits: str = "", *, unit: str = "", blank: str = ""
) -> str:
    """One entry of an interval as text: the estimate, and its limits in brackets where there are any.

    Args:
        interval: The interval.
        at: Place of the entry.
        spec: Format of the estimate.
        limits: Format of the limits; default: that of the estimate.
        unit: What follows the estimate.
        blank: What is said where the estimate is missing.
    """
    ends = (interval.low[at], interval.high[at])
    return with_limits(interval.estimate[at], *ends, spec, limits, unit=unit, blank=blank)


def with_limits(
    value: float | None,
    low: float | None,
    high: float | None,
    spec: str = ".3f",
    limits: str = "",
    *,
    unit: str = "",
    blank: str = "",
) -> str:
    """A number and its limits in brackets; see `estimate`.

    Examples:
        >>> with_limits(0.5, 0.25, 0.75, "+.2f", ".2f", unit=" nats"), with_limits(0.5, float("nan"), float("nan"))
        ('+0.50 nats [0.25, 0.75]', '0.500')
    """
    if missing(value):
        return blank
    text = number(value, spec) + unit
    if missing(low) or missing(high):
        return text
    return f"{text} [{number(low, limits or spec)}, {number(high, limits or spec)}]"


def estimates(interval: Interval, spec: str = ".3f", limits: str = "") -> list[str]:
    """All entries of an interval as text, with limits."""
    return [estimate(interval, at, spec, limits) for at in range(len(interval.estimate))]


def numbers(values: Any, spec: str = ".3g") -> list[str]:
    """Several numbers as text."""
    return [number(value, spec) for value in values]


def places(largest: float, *, figures: int = 3) -> int:
    """Decimals of a quantity whose largest value is about this, the same for all its numbers.

    Examples:
        >>> places(0.98), places(5.88), places(61.2), places(0.98, figures=2)
        (3, 2, 1, 2)
    """
    whole = len(str(int(abs(largest) + 0.5))) if abs(largest) >= 1.5 else 0
    return max(figures - whole, 0)


def p_value(value: float) -> str:
    """A p-value to a thousandth: tests over prompts carry no more.

    Examples:
        >>> p_value(0.0234), p_value(0.3), p_value(0.00001)
        ('0.023', '0.3', 'below 0.001')
    """
    return f"{round(value, 3):g}" if value >= SMALLEST_P else f"below {SMALLEST_P:g}"


def p_clause(value: float, name: str = "p") -> str:
    """A p-value with its name.

    Examples:
        >>> p_clause(0.0234), p_clause(0.00001, "adjusted p")
        ('p = 0.023', 'adjusted p below 0.001')
    """
    return f"{name} {'= ' if value >= SMALLEST_P else ''}{p_value(value)}"


# -- names and sentences ---------------------------------------------------------------------------------------------


def short(name: str) -> str:
    """A name without the remark in brackets at its end.

    Examples:
        >>> short("open questions (embedded pair)"), short("qa")
        ('open questions', 'qa')
    """
    return re.sub(r" \([^()]*\)$", "", name)


def model_name(source: object) -> str:
    """The last part of a path or hub id, with the folder above where that part alone says too little.

    Examples:
        >>> model_name("allenai/OLMo-2-0425-1B-DPO"), model_name("/checkpoints/run-3/dpo"), model_name(None)
        ('OLMo-2-0425-1B-DPO', 'run-3/dpo', '?')
    """
    parts = [part for part in str(source or "?").split("/") if part]
    return "/".join(parts[-2:]) if parts and parts[-1] in ("base", "tuned", "sft", "dpo") else (parts or ["?"])[-1]


def listed(names: Sequence[str]) -> str:
    """Names joined by commas and "and".

    Examples:
        >>> listed(["a"]), listed(["a", "b", "c"])
        ('a', 'a, b and c')
    """
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def typeset(text: str) -> str:
    r"""Real minus signs before numbers, and intervals that no line breaks.

    Examples:
        >>> typeset("-0.5 [-0.7, -0.3] of self-BLEU, 1:3").replace("\u00a0", "~")
        '−0.5~[−0.7,~−0.3] of self-BLEU, 1:3'
    """
    text = _MINUS.sub("−", text)
    text = _INTERVAL.sub(lambda match: match[0].replace(" ", "\u00a0"), text)
    return re.sub(r"(\d%?) (?=\[)", "\\1\u00a0", text)


# -- tables ----------------------------------------------------------------------------------------------------------


def aligned(rows: Sequence[Sequence[str]], *, left: Collection[int] = (0,)) -> str:
    """Rows of cells in columns.

    Args:
        rows: Cells, with the header as the first row.
        left: Columns of text, which begin at the left; the others are numbers, which end at the right.

    Examples:
        >>> print(aligned([["task", "loss"], ["qa", "-1.5"]]))
        task  loss
        qa    -1.5
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def html_text(text: str) -> str:
    """Text for Jupyter that keeps its lines and columns."""
    return f'<pre style="font-family: monospace; white-space: pre; overflow-x: auto">{escape(text)}</pre>'


def html_table(table: pd.DataFrame, spec: str = ".4g", *, max_rows: int | None = 20) -> str:
    """A table for Jupyter."""
    in_spec: Callable[[float], str] = lambda value: format(value, spec)  # noqa: E731
    return str(table.to_html(index=False, max_rows=max_rows, float_format=in_spec, na_rep=""))


def html_rows(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts for Jupyter."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"

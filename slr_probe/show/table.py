"""View of any result that has no view of its own: its table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slr_probe.show.words.format import aligned, html_table, html_text, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from slr_probe.result import Result

_ROWS = 20


def text(result: Result) -> str:
    """The name of its kind and the first rows of its table."""
    from pandas.api.types import is_numeric_dtype

    table = result.to_dataframe()
    cells = [[_cell(value) for value in row] for row in table.head(_ROWS).itertuples(index=False)]
    names = [str(name) for name in table.columns]
    words = {i for i, name in enumerate(table.columns) if not is_numeric_dtype(table[name])}
    return f"{type(result).__name__}: {len(table)} rows\n" + aligned([names, *cells], left=words)


def html(result: Result) -> str:
    """The same for Jupyter."""
    table = result.to_dataframe()
    return html_text(f"{type(result).__name__}: {len(table)} rows") + html_table(table, max_rows=_ROWS)


def figure(result: Result, **options: Any) -> Figure:
    """There is none."""
    raise NotImplementedError(f"a {type(result).__name__} has no figure")


def _cell(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)

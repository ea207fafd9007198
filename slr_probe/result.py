"""What all results share: they are saved whole or not at all, loaded without pickle, and shown in one way."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from slr_probe.errors import ResultError, printable
from slr_probe.files import read_npz, write_npz

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

R = TypeVar("R", bound="Result")


class Shown:
    """What can be printed and drawn: `slr_probe.show` has a module for it, the view, found by its name.

    This is the only way from a result up to its text, table for print and figure, as pandas finds its plotting backend.
    """

    view: ClassVar[str] = "table"
    """A module of `slr_probe.show` with `text(result)`, `html(result)` and `figure(result, **options)`."""

    def plot(self, *, palette: Mapping[str, Any] | None = None, **options: Any) -> Figure:
        """The result as a figure; see `figure` of its view for what is drawn.

        Args:
            palette: Colours by role, such as `{"tuned": "black"}`; default: the library's. Roles: base, tuned, best,
                soup, full, early, late, random, rival.
            **options: `width`: `"column"` (3.3 inches), `"page"` (6.9) or inches. `ax`: draw in the place of these
                axes, which `plt.subplots` made. `title`: another title, `""` for none. Others are the view's own.

        Raises:
            SlrProbeError: An unknown width or role, or axes without a place in a grid.
        """
        with import_module("slr_probe.show.charts.style").use_palette(palette):
            figure: Figure = self._view().figure(self, **options)
        return figure

    def __repr__(self) -> str:
        return printable(str(self._view().text(self)))

    def _repr_html_(self) -> str:
        return str(self._view().html(self))

    def _view(self) -> Any:
        return import_module(f"slr_probe.show.{self.view}")


class Result(Shown):
    """Base of results: a frozen dataclass whose fields are NumPy arrays and plain data (text, numbers, tuples).

    `save` writes one `.npz` file: every array field under its own name (`allow_pickle=False`, so text arrays must have
    a fixed-width dtype), all other fields as JSON. A subclass sets `kind` (name and version of its format) and `view`.
    """

    kind: ClassVar[str]

    def to_dataframe(self) -> pd.DataFrame:
        """The result as a table."""
        raise NotImplementedError

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the result to an `.npz` file, which appears complete or not at all.

        Raises:
            OutputError: The file cannot be written.
        """
        arrays, plain = split_fields(self)
        return write_npz(Path(path), self.kind, arrays, plain)

    @classmethod
    def load(cls: type[R], path: str | os.PathLike[str]) -> R:
        """Read what `save` wrote.

        Raises:
            ResultError: The file is absent, damaged, or holds another kind of result.
        """
        arrays, plain = read_npz(Path(path), cls.kind)
        return from_fields(cls, arrays, plain, str(path))


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as plain data for JSON."""
    rows = table.to_dict(orient="records")
    return [{str(name): plain_value(value) for name, value in row.items()} for row in rows]


def plain_value(value: Any) -> Any:
    """A cell for JSON: no NumPy type; None where a number is missing or not finite.

    Examples:
        >>> plain_value(np.float64(0.5)), plain_value(float("nan")), plain_value("text")
        (0.5, None, 'text')
    """
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def limits(name: str, interval: Any, at: Any = ...) -> dict[str, Any]:
    """Columns of an interval: the estimate under its name, the limits as `name_low` and `name_high`.

    Args:
        name: Name of the quantity.
        interval: An `Interval`.
        at: Which entries; default: all.
    """
    return {name: interval.estimate[at], f"{name}_low": interval.low[at], f"{name}_high": interval.high[at]}


def split_fields(result: Any) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
    """The array fields and the other fields of a dataclass."""
    values = {f.name: getattr(result, f.name) for f in fields(result)}
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    return arrays, {name: value for name, value in values.items() if name not in arrays}


def from_fields(cls: type[R], arrays: Mapping[str, Any], plain: Mapping[str, Any], where: str) -> R:
    """Rebuild a dataclass; JSON lists become tuples.

    Raises:
        ResultError: Fields are missing or unknown.
    """
    try:
        return cls(**arrays, **{name: _frozen(value) for name, value in plain.items()})
    except TypeError as error:
        raise ResultError(f"{where} does not hold a {cls.__name__} of this version: {error}") from error


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value

"""What all results share: they are saved whole or not at all, loaded without pickle, and shown in Jupyter."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from slr_probe.errors import ResultError
from slr_probe.files import read_npz, write_npz

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

R = TypeVar("R", bound="Result")


class Result:
    """Base of results: a frozen dataclass whose fields are NumPy arrays and plain data (text, numbers, tuples).

    `save` writes one `.npz` file: every array field under its own name (`allow_pickle=False`, so text arrays must have
    a fixed-width dtype), all other fields as JSON. A subclass sets `kind` (name and version of its format).
    """

    kind: ClassVar[str]

    def to_dataframe(self) -> pd.DataFrame:
        """The result as a table."""
        raise NotImplementedError

    def plot(self) -> Figure:
        """The result as a figure."""
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

    def _repr_html_(self) -> str:
        rows = self.to_dataframe()
        table = rows.to_html(index=False, max_rows=20, float_format=lambda v: f"{v:.4g}", na_rep="")
        return html_text(repr(self)) + str(table)


def html_text(text: str) -> str:
    """Text for Jupyter that keeps its lines and columns."""
    return f'<pre style="font-family: monospace; white-space: pre; overflow-x: auto">{escape(text)}</pre>'


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

"""How a stage writes what it found: the result, its table, its figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from slr_probe.files import save_figure, write_text

if TYPE_CHECKING:
    import pandas as pd


def save(found: Any, home: Path, name: str) -> None:
    """Write a result as `name.npz`, `name.csv`, `name.pdf` and `name.png`."""
    save_table(found.to_dataframe(), home / f"{name}.csv")
    save_figure(found.plot(), home / name)
    found.save(home / f"{name}.npz")


def save_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV."""
    write_text(path, table.to_csv(index=False))

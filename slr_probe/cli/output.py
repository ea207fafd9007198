"""Printing and writing what a verb found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from slr_probe.errors import OutputError


def check_places(out: Path | None, json_file: Path | None) -> None:
    """Check, before any work, that what a user named can be a folder and a file.

    Raises:
        OutputError: It stands or lies where a file is, or is a folder where a file is wanted.
    """
    for path, folder in ((out, True), (json_file, False)):
        if path is None:
            continue
        if folder and path.exists() and not path.is_dir():
            raise OutputError(f"--out {path} is a file; give a folder")
        if not folder and path.is_dir():
            raise OutputError(f"--json {path} is a folder; give a file")
        if above := next((one for one in path.parents if one.exists() and not one.is_dir()), None):
            raise OutputError(f"cannot write {path}: {above} is a file")


def write_data(data: Any, json_file: Path | None) -> None:
    """Write plain data to the JSON file that the user named, if any."""
    from slr_probe.files import write_json

    if json_file is not None:
        write_json(json_file, data)


def write_result(found: Any, out: Path | None, name: str) -> None:
    """Write a result and its figure into the folder that the user named, if any."""
    from slr_probe.files import save_figure

    if out is not None:
        files = [found.save(out / f"{name}.npz"), *save_figure(found.plot(), out / name)]
        print("wrote " + ", ".join(map(str, files)))


def print_table(columns: list[str], rows: list[list[Any]]) -> None:
    """Print a table; the second column is text, the others are numbers."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(str(column), justify="left" if i == 1 else "right")
    for row in rows:
        table.add_row(*map(str, row))
    Console().print(table)

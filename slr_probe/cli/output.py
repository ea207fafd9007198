"""Printing and writing what a verb found."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slr_probe.errors import OutputError, printable

_FILE_WIDTH = 200
"""Columns of a table that is not printed to a terminal: a line of a log is as long as it must be."""


def check_places(out: Path | None, json_file: Path | None, result: str | None = None, also: Sequence[str] = ()) -> None:
    """Check, before any work, that what a user named can be a folder and a file, and can be written.

    Args:
        out: The folder.
        json_file: The file.
        result: Name of the result that goes into the folder with its table and figure, if one does.
        also: Names of other files that go with it.

    Raises:
        OutputError: It stands or lies where a file is, is a folder where a file is wanted, or cannot be written; or the
            folder is a checkpoint's, as the file's folder may not be, or has a file of such a name that came without
            the result.
    """
    try:
        if out is not None:
            if out.exists() and not out.is_dir():
                raise OutputError(f"--out {out} is a file; give a folder")
            _check_own(out, result, also)
            _check_writable(out, out)
        if json_file is not None:
            check_file("--json", json_file)
    except OSError as error:
        raise OutputError(f"cannot write {error.filename}: {error.strerror}") from error


def check_file(option: str, path: Path) -> None:
    """Check, before any work, that a file that a user named can be written, and that it is no checkpoint's.

    Raises:
        OutputError: It is a folder, lies among a checkpoint's files, or cannot be written.
    """
    if path.is_dir():
        raise OutputError(f"{option} {path} is a folder; give a file")
    if path.is_file() or not path.exists():  # what else there is, such as /dev/null, is written into
        _check_outside(option, path)
        _check_writable(path, path.resolve().parent)


def check_run(out: Path | None, json_file: Path | None) -> None:
    """The same for a folder of outputs and scores, which must be new or of an earlier run.

    Raises:
        OutputError: As above, or the folder holds something else.
    """
    from slr_probe.scoring.folder import Folder

    check_places(out, json_file)
    Folder(out).refuse_foreign()


def _check_own(out: Path, result: str | None, also: Sequence[str]) -> None:
    """Nothing of the user's is written over: neither a hybrid's recipe nor a table of another origin."""
    if (out / "config.json").exists():
        raise OutputError(f"--out {out} is a checkpoint, with a config.json; give another folder")
    if result is None or (out / f"{result}.npz").exists():
        return
    names = (*(f"{result}.{ending}" for ending in ("csv", "pdf", "png")), *also)
    other = next((name for name in names if (out / name).exists()), None)
    if other is not None:
        raise OutputError(f"--out {out} has a {other} that came without {result}.npz; give another folder, or move it")


def _check_outside(option: str, path: Path) -> None:
    """No file of a checkpoint or an adapter is replaced, and none is added that its loaders would meet."""
    for folder in {path.parent, path.resolve().parent}:  # in the hub's cache a file is a link out of its folder
        settings = any((folder / name).exists() for name in ("config.json", "adapter_config.json"))
        if not settings or not any(folder.glob("*.safetensors")):
            continue
        raise OutputError(f"{option} {path} would lie among the files of a checkpoint; give a file elsewhere")


def _check_writable(path: Path, folder: Path) -> None:
    """Make a file in the nearest folder that exists; it has no name and is gone at once."""
    nearest = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    if not nearest.is_dir():
        raise OutputError(f"cannot write {path}: {nearest} is a file")
    try:
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        raise OutputError(f"cannot write {path}: {nearest}: {error.strerror}") from error


def write_data(data: Any, json_file: Path | None) -> None:
    """Write plain data to the JSON file that the user named, if any."""
    from slr_probe.files import write_json

    if json_file is not None:
        write_json(json_file, data)


def write_result(found: Any, out: Path | None, name: str) -> str:
    """Write a result, its table and its figure into the folder that the user named, if any.

    It is written before it is printed: who reads the print may go away, as `head` does.

    Returns:
        The line that says what was written, to be printed last; empty where nothing was.
    """
    from slr_probe.files import save_figure, write_text

    if out is None:
        return ""
    files = [found.save(out / f"{name}.npz"), *save_figure(found.plot(), out / name)]
    files.append(write_text(out / f"{name}.csv", found.to_dataframe().to_csv(index=False)))
    return f"wrote {', '.join(map(str, files))}\n"


def print_table(columns: list[str], rows: list[list[Any]]) -> None:
    """Print a table; the second column is text, the others are numbers."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(str(column), justify="left" if i == 1 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(printable(str(cell)) for cell in row))
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _FILE_WIDTH
    Console(force_terminal=False, width=width).print(table)  # plain: no codes among what comes from files of others


def print_beside(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print texts beside each other, wrapped in columns of equal width; rows are numbered, but for the last."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, expand=True, padding=(0, 2, 0, 0))
    table.add_column()
    for name in names:
        table.add_column(Text(name), ratio=1, overflow="fold")
    for number, row in enumerate(rows, 1):
        table.add_row(str(number) if number < len(rows) else "", *map(Text, row))
    console = Console()
    with console.capture() as printed:
        console.print(table)
    print("\n".join(line.rstrip() for line in printed.get().splitlines()) + "\n", flush=True)


def silence() -> None:
    """No bars of transformers between our lines."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]

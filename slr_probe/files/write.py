"""Files that appear complete or not at all: text, JSON, JSONL, arrays, figures; and hashes of data."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from slr_probe.errors import OutputError
from slr_probe.files.read import META, npz, reason

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STEP = 1 << 16  # bytes that are read at a time when a file is searched from its end


def digest(data: Any) -> str:
    """SHA-256 of bytes, or of plain data as JSON."""
    raw = data if isinstance(data, bytes) else json.dumps(data, sort_keys=True).encode()
    return hashlib.sha256(raw).hexdigest()


def safe_name(name: str) -> str:
    """A name as part of a file name."""
    return "".join(c if c.isalnum() or c in "-_." else "-" if c == " " else f"~{ord(c):x}" for c in name)[:100]


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> Path:
    """Write a file under a temporary name beside it and move it into place; a failure leaves nothing behind.

    A link is followed. What exists and is no regular file, such as `/dev/null`, is written into directly, and so is
    the program's own output (`/dev/stdout`), wherever that goes.

    Raises:
        OutputError: The folder cannot be made or written, or the disk is full.
    """
    try:
        stream = _stream(path)
        if stream is not None or (path.exists() and not path.is_file()):
            with open(path if stream is None else os.dup(stream), "wb") as file:
                write(file)
        else:
            _replace(path.resolve() if path.is_symlink() else path, write)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {reason(error)}; nothing was left behind") from error
    return path


def _stream(path: Path) -> int | None:
    """The descriptor of the program's own output, if a path names it."""
    for stream, text in ((1, sys.stdout), (2, sys.stderr)):
        with suppress(OSError):  # no such file, or a closed stream
            if os.path.samestat(path.stat(), os.fstat(stream)):
                text.flush()  # what was printed so far comes first
                return stream
    return None


def _replace(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str, *, errors: str = "strict") -> Path:
    """Write a UTF-8 text file that appears complete or not at all.

    Args:
        path: The file.
        text: Its text.
        errors: What to do with characters that UTF-8 cannot hold, which models do write; `"replace"` keeps the rest.

    Raises:
        OutputError: The file cannot be written.
    """
    data = text.encode("utf-8", errors)
    return write_whole(path, lambda file: file.write(data))


def write_json(path: Path, data: Any, *, indent: int = 2) -> Path:
    """Write plain data as JSON that appears complete or not at all.

    Raises:
        OutputError: The file cannot be written.
        ValueError: A number is NaN or infinite, which JSON cannot hold.
    """
    text = json.dumps(data, indent=indent, ensure_ascii=False, allow_nan=False) + "\n"
    return write_text(path, text, errors="replace")


def save_figure(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Write a figure as `stem.pdf` and `stem.png`; the same figure gives the same bytes.

    Raises:
        OutputError: A file cannot be written.
    """
    pdf, png = stem.with_name(stem.name + ".pdf"), stem.with_name(stem.name + ".png")
    write_whole(pdf, lambda file: figure.savefig(file, format="pdf", metadata={"CreationDate": None}))
    write_whole(png, lambda file: figure.savefig(file, format="png", dpi=200))
    return pdf, png


def write_npz(path: Path, kind: str, arrays: Mapping[str, np.ndarray[Any, Any]], plain: Mapping[str, Any]) -> Path:
    """Write arrays and plain data to one `.npz` file that appears complete or not at all.

    Raises:
        OutputError: The file cannot be written.
    """
    objects = [name for name, array in arrays.items() if array.dtype.hasobject]
    if objects:  # NumPy would pickle them
        raise OutputError(f"cannot write {path}: {objects} hold Python objects; use a fixed-width dtype")
    meta = np.array(json.dumps({"kind": kind, **plain}))

    def write(file: IO[bytes]) -> None:
        np.savez(file, **{**arrays, META: meta})  # type: ignore[arg-type]

    return write_whole(npz(path), write)


def json_line(row: Mapping[str, Any]) -> str:
    """One line of JSONL. Lone surrogates, which UTF-8 cannot hold, are replaced."""
    text = json.dumps(row, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode() + "\n"


def append_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add lines to a JSONL file; they are handed to the system before this returns.

    Raises:
        OutputError: They cannot be written.
    """
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write("".join(map(json_line, rows)))
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {reason(error)}; what was finished is kept, and the same call goes on from there"
        ) from error


def drop_partial_line(path: Path) -> None:
    """Cut off a last line without its end, which a killed process leaves behind."""
    with open(path, "rb+") as file:
        size = end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - _STEP)
            file.seek(start)
            place = file.read(end - start).rfind(b"\n")
            if place >= 0:
                end = start + place + 1
                break
            end = start
        if end < size:
            file.truncate(end)

"""Files that appear complete or not at all: text, arrays, figures."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from slr_probe.errors import OutputError, ResultError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_META = "__slr_probe__"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_npz(path: Path, kind: str, arrays: Mapping[str, np.ndarray[Any, Any]], plain: Mapping[str, Any]) -> Path:
    """Write arrays and plain data to one `.npz` file that appears complete or not at all.

    Raises:
        OutputError: The file cannot be written.
    """
    meta = json.dumps({"kind": kind, **plain})

    def write(file: IO[bytes]) -> None:
        np.savez(file, **{**arrays, _META: np.array(meta)})  # type: ignore[arg-type]

    objects = [name for name, array in arrays.items() if array.dtype.hasobject]
    if objects:  # NumPy would pickle them
        raise OutputError(f"cannot write {path}: {objects} hold Python objects; use a fixed-width dtype")

    return write_whole(path if path.suffix == ".npz" else path.with_name(path.name + ".npz"), write)


def read_npz(path: Path, kind: str) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
    """Read what `write_npz` wrote.

    Raises:
        ResultError: The file is absent, damaged, or of another kind.
    """
    if not path.exists() and path.suffix != ".npz":
        path = path.with_name(path.name + ".npz")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        plain = json.loads(str(arrays.pop(_META)))
        found = plain.pop("kind")
    except OSError as error:
        raise ResultError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # zipfile, zlib, NumPy and JSON each raise their own on damaged files
        raise ResultError(f"{path} is not a saved result of slr_probe: {error}") from error
    if found != kind:
        raise ResultError(f"{path} holds '{found}', expected '{kind}'")
    return arrays, plain


def save_figure(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Write a figure as `stem.pdf` and `stem.png`; the same figure gives the same bytes.

    Raises:
        OutputError: A file cannot be written.
    """
    pdf, png = stem.with_name(stem.name + ".pdf"), stem.with_name(stem.name + ".png")
    write_whole(pdf, lambda file: figure.savefig(file, format="pdf", metadata={"CreationDate": None}))
    write_whole(png, lambda file: figure.savefig(file, format="png", dpi=200))
    return pdf, png


def digest(data: Any) -> str:
    """Hash of plain data, by which a later run knows what an earlier one was asked."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


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


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> Path:
    """Write a file under a temporary name beside it and move it into place; a failure leaves nothing behind.

    Raises:
        OutputError: The folder cannot be made or written, or the disk is full.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            why = "no space left on the disk" if error.errno in _FULL else error.strerror or str(error)
            raise OutputError(f"cannot write {path}: {why}; nothing was left behind") from error
        raise
    return path

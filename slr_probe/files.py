"""Files that appear complete or not at all: text, JSON, JSONL, arrays, figures; and hashes of data."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from slr_probe.errors import OutputError, ResultError, SlrProbeError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_META = "__slr_probe__"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_STEP = 1 << 16  # bytes that are read at a time when a file is searched from its end
_MOST = 1 << 30  # bytes of a file that is read as a whole


def digest(data: Any) -> str:
    """SHA-256 of bytes, or of plain data as JSON."""
    raw = data if isinstance(data, bytes) else json.dumps(data, sort_keys=True).encode()
    return hashlib.sha256(raw).hexdigest()


def safe_name(name: str) -> str:
    """A name as part of a file name."""
    return "".join(c if c.isalnum() or c in "-_." else "-" if c == " " else f"~{ord(c):x}" for c in name)[:100]


def disk_full(error: BaseException) -> bool:
    """Whether a write failed for lack of space."""
    return isinstance(error, OSError) and error.errno in _FULL


def reason(error: OSError) -> str:
    """Why a file could not be read or written, in words."""
    return "no space left on the disk" if disk_full(error) else error.strerror or str(error)


# -- whole files ---------------------------------------------------------------------------------------------------


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


def read_json(path: Path, error: type[SlrProbeError] = ResultError) -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        error: What is raised where it cannot be read or is not JSON.
    """
    try:
        return json.loads(read_regular(path).decode("utf-8"))
    except OSError as fault:
        raise error(f"cannot read {path}: {reason(fault)}") from fault
    except (ValueError, RecursionError) as fault:
        raise error(f"{path} is not valid JSON: {fault}") from fault


def read_regular(path: Path, most: int = _MOST) -> bytes:
    """The bytes of a regular file; a pipe would be waited for and a device might never end.

    Args:
        path: The file; a link to it will do.
        most: Bytes that it may have.

    Raises:
        OSError: It cannot be read, is no regular file, or is larger.
    """
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        if status.st_size > most:
            raise OSError(errno.EINVAL, f"it has {status.st_size:,} bytes, and {most:,} are read at most")
        return file.read()


def save_figure(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Write a figure as `stem.pdf` and `stem.png`; the same figure gives the same bytes.

    Raises:
        OutputError: A file cannot be written.
    """
    pdf, png = stem.with_name(stem.name + ".pdf"), stem.with_name(stem.name + ".png")
    write_whole(pdf, lambda file: figure.savefig(file, format="pdf", metadata={"CreationDate": None}))
    write_whole(png, lambda file: figure.savefig(file, format="png", dpi=200))
    return pdf, png


# -- arrays --------------------------------------------------------------------------------------------------------


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
        np.savez(file, **{**arrays, _META: meta})  # type: ignore[arg-type]

    return write_whole(_npz(path), write)


def read_npz(path: Path, kind: str) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
    """Read what `write_npz` wrote.

    Raises:
        ResultError: The file is absent, damaged, or of another kind.
    """
    path = path if path.exists() else _npz(path)
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


def _npz(path: Path) -> Path:
    return path if path.suffix == ".npz" else path.with_name(path.name + ".npz")


# -- lines of JSON -------------------------------------------------------------------------------------------------


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


def read_jsonl(path: Path, error: type[SlrProbeError] = ResultError) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers, from 1, and objects of a JSONL file; blank lines are passed over.

    Args:
        path: UTF-8 file, with or without a byte order mark.
        error: What is raised where it cannot be read, or a line is not UTF-8 or not a JSON object.
    """
    try:
        with open(path, "rb") as file:
            for number, raw in enumerate(file, 1):
                if raw.strip():
                    yield number, _parse(raw, f"{path}, line {number}", error)
    except OSError as fault:
        raise error(f"cannot read {path}: {reason(fault)}") from fault


def _parse(raw: bytes, place: str, error: type[SlrProbeError]) -> dict[str, Any]:
    try:
        row = json.loads(raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8"))
    except UnicodeDecodeError as fault:
        byte = f"byte {fault.object[fault.start]:#04x} at column {fault.start + 1}"
        raise error(f"{place}: not UTF-8 ({byte}); save the file as UTF-8") from fault
    except (json.JSONDecodeError, RecursionError) as fault:
        raise error(f"{place}: not JSON: {fault}; expected one object a line") from fault
    if not isinstance(row, dict):
        raise error(f"{place}: expected a JSON object, found {type(row).__name__}")
    return row

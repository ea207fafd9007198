"""Files read whole or line by line: regular ones, of bounded size and depth, with one clear error."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from slr_probe.errors import ResultError, SlrProbeError

META = "__slr_probe__"
"""Name of the plain data in a saved `.npz` file."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MOST, _MOST_LINES, _LONGEST_LINE = 1 << 30, 1 << 40, 1 << 26  # bytes of a file read whole, by lines, and of a line
_DEEPEST = 100  # levels of JSON


def disk_full(error: BaseException) -> bool:
    """Whether a write failed for lack of space."""
    return isinstance(error, OSError) and error.errno in _FULL


def reason(error: OSError) -> str:
    """Why a file could not be read or written, in words."""
    return "no space left on the disk" if disk_full(error) else error.strerror or str(error)


def read_json(path: Path, error: type[SlrProbeError] = ResultError) -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        error: What is raised where it cannot be read or is not JSON.
    """
    return parse_json(read_text(path, error), str(path), error)


def parse_json(text: str, place: str, error: type[SlrProbeError] = ResultError) -> Any:
    """Read JSON: no deeper than `_DEEPEST`, so that whoever walks over it needs no more care.

    Args:
        text: The JSON.
        place: Where it comes from, for messages.
        error: What is raised where it is none, or holds an integer of thousands of digits.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise error(f"{place}: not JSON: {fault}") from fault
    level, depth = [data], 0
    while level := [inner for outer in level for inner in _inner(outer) if isinstance(inner, (dict, list))]:
        depth += 1
        if depth > _DEEPEST:
            raise error(f"{place} is nested more than {_DEEPEST} deep; no such file of ours is")
    return data


def _inner(data: Any) -> Iterable[Any]:
    return data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()


def read_text(path: str | os.PathLike[str], error: type[SlrProbeError] = ResultError) -> str:
    """The text of a regular file in UTF-8, without a byte order mark.

    Args:
        path: The file.
        error: What is raised where it cannot be read or is not UTF-8.
    """
    try:
        return read_regular(Path(path)).decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        byte = f"byte {fault.object[fault.start]:#04x} at place {fault.start}"
        raise error(f"{path} is not UTF-8 text ({byte}); save the file as UTF-8") from fault
    except OSError as fault:
        raise error(f"cannot read {path}: {reason(fault)}") from fault
    except ValueError as fault:  # a name that no file can have
        raise error(f"cannot read {str(path)!r}: {fault}") from fault


def read_regular(path: Path, most: int = _MOST) -> bytes:
    """The bytes of a regular file; a pipe would be waited for and a device might never end.

    Args:
        path: The file; a link to it will do.
        most: Bytes that it may have.

    Raises:
        OSError: It cannot be read, is no regular file, or is larger.
    """
    with _regular(path, most) as file:
        return file.read()


@contextmanager
def _regular(path: Path, most: int) -> Iterator[IO[bytes]]:
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        if status.st_size > most:
            raise OSError(errno.EINVAL, f"it has {status.st_size:,} bytes, and {most:,} are read at most")
        with open(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def read_npz(path: Path, kind: str) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
    """Read what `write_npz` wrote.

    Raises:
        ResultError: The file is absent, damaged, or of another kind.
    """
    path = path if path.exists() else npz(path)
    try:
        with _regular(path, _MOST_LINES) as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        plain = json.loads(str(arrays.pop(META)))
        found = plain.pop("kind")
    except OSError as error:
        raise ResultError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # zipfile, zlib, NumPy and JSON each raise their own on damaged files
        raise ResultError(f"{path} is not a saved result of slr_probe: {error}") from error
    if found != kind:
        raise ResultError(f"{path} holds '{found}', expected '{kind}'")
    return arrays, plain


def read_jsonl(path: Path, error: type[SlrProbeError] = ResultError) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers, from 1, and objects of a JSONL file; blank lines are passed over.

    Args:
        path: UTF-8 file, with or without a byte order mark.
        error: What is raised where it cannot be read, or a line is not UTF-8 or not a JSON object.
    """
    try:
        with _regular(Path(path), _MOST_LINES) as file:
            for number, raw in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), 1):
                if len(raw) == _LONGEST_LINE:
                    raise error(f"{path}, line {number} is longer than {_LONGEST_LINE:,} bytes")
                if raw.strip():
                    yield number, _parse(raw, f"{path}, line {number}", error)
    except (OSError, ValueError) as fault:
        if isinstance(fault, SlrProbeError):
            raise
        raise error(f"cannot read {path}: {reason(fault) if isinstance(fault, OSError) else fault}") from fault


def _parse(raw: bytes, place: str, error: type[SlrProbeError]) -> dict[str, Any]:
    try:
        text = raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as fault:
        byte = f"byte {fault.object[fault.start]:#04x} at column {fault.start + 1}"
        raise error(f"{place}: not UTF-8 ({byte}); save the file as UTF-8") from fault
    row = parse_json(text, place, error)
    if not isinstance(row, dict):
        raise error(f"{place}: expected a JSON object, found {type(row).__name__}")
    return row


def npz(path: Path) -> Path:
    """A path with the suffix that NumPy gives it."""
    return path if path.suffix == ".npz" else path.with_name(path.name + ".npz")

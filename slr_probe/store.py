"""A folder that holds what was made for one request, and is gone on with after a kill.

The request, which is all that the content follows from, is written down in one JSON file of the folder. The same
request finds its parts again; another one is refused, and so is a folder of something else or one that another process
writes into.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from slr_probe.errors import OutputError, ResultError, SlrProbeError
from slr_probe.files import read_json, read_npz, reason, write_json, write_text

LOCK = ".lock"
MARK = "INCOMPLETE"
_ABSENT = object()
_DIGEST = re.compile("[0-9a-f]{64}")
_SHOWN = 3  # differences that a message names with both values


class Store:
    """A folder made for one request.

    Args:
        folder: The folder; it is made when something is written.
        manifest: Name of the file that holds the request.
        what: What the folder holds, in a word.
        error: Kind of error for a folder that holds anything else.
        beside: Names that may lie in the folder before the request does.
    """

    def __init__(
        self,
        folder: Path,
        manifest: str,
        *,
        what: str = "run",
        error: type[SlrProbeError] = OutputError,
        beside: tuple[str, ...] = (),
    ) -> None:
        self.folder = folder
        self.manifest = folder / manifest
        self._what, self._error, self._beside = what, error, beside

    def request(self) -> dict[str, Any] | None:
        """What the folder was made for; None where nothing was begun.

        Raises:
            SlrProbeError: The file cannot be read; of the kind that was given.
        """
        if not self.manifest.exists():
            return None
        found = read_json(self.manifest, self._error)
        if not isinstance(found, dict):
            raise self._error(f"{self.manifest} does not describe a {self._what}; give a new folder")
        return found

    def refuse_foreign(self) -> None:
        """Check that the folder is absent, empty, or was made here.

        Raises:
            SlrProbeError: It is a file or holds something else; of the kind that was given.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise self._error(f"{self.folder} is a file; give a folder, new or of an earlier {self._what}")
        if self.manifest.exists() or not self.folder.is_dir():
            return
        names = {path.name for path in self.folder.iterdir() if not path.name.endswith(".partial")}
        if names - {LOCK, *self._beside}:
            raise self._error(f"{self.folder} is not empty and holds no {self._what}; give a new folder")

    def claim(self, request: Mapping[str, Any], **recorded: Any) -> None:
        """Write the request down in a new folder, or compare it with that of an earlier run.

        Args:
            request: All that the content follows from.
            recorded: What is written down before it and not compared.

        Raises:
            SlrProbeError: The folder was made for another request or for something else; of the kind that was given.
            OutputError: The folder cannot be written.
        """
        request = json.loads(json.dumps(request))
        known = self.request()
        if known is None:
            self.refuse_foreign()
            write_json(self.manifest, {**recorded, **request}, indent=1)
            return
        known = {name: value for name, value in known.items() if name not in recorded}
        if known != request:
            raise self._error(
                f"{self.folder} holds another {self._what}: {differences(known, request)}; give a new folder, or the "
                "same settings"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder and hold it, so that no second process writes into it.

        Raises:
            OutputError: It cannot be made or written into, or another process holds it.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write into {self.folder}: {reason(error)}") from error
        with hold(self.folder / LOCK, self.folder):
            try:
                yield
            finally:
                with suppress(OSError):
                    (self.folder / LOCK).unlink()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Mark the folder as incomplete until the block ends without an exception."""
        mark = write_text(self.folder / MARK, "This run is at work, or was interrupted: the same command goes on.\n")
        yield
        mark.unlink(missing_ok=True)


def find_part(path: Path, kind: str) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]] | None:
    """A part that `write_npz` wrote; None where it is absent or damaged, and has to be made again."""
    try:
        return read_npz(path, kind)
    except ResultError:
        return None


@contextmanager
def hold(path: Path, folder: Path) -> Iterator[IO[str]]:
    """Open a file that one process at a time may hold; a link is not followed.

    Args:
        path: The file; made if it is not there.
        folder: What it guards, for messages.

    Raises:
        OutputError: It cannot be opened, or another process holds it.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    try:
        file = os.fdopen(os.open(path, flags, 0o666), "a+", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {reason(error)}") from error
    with file:
        if not _lock(file, path):
            raise OutputError(f"{folder} is in use by another process; wait for it, or give another folder")
        yield file


def _lock(file: IO[str], path: Path) -> bool:
    """Whether the file is ours now; where the system has no locks, it is."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The process that held the lock before may have renamed or removed the file that was opened here.
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError:  # the file system has no locks
        return True


def differences(before: Any, now: Any) -> str:
    """In what two requests differ, with both values: "sampling.seed was 1 and is now 2"."""
    found = sorted(_changes(before, now), key=lambda change: change[0].count("."))
    said = [f"{name} was {_short(old)} and is now {_short(new)}" for name, old, new in found[:_SHOWN]]
    more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return ", ".join([*said, *more])


def _changes(before: Any, now: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, list) and isinstance(now, list):
        before, now = dict(enumerate(before)), dict(enumerate(now))
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in {**now, **before}:
            inner = f"{name}.{key}" if name else str(key)
            yield from _changes(before.get(key, _ABSENT), now.get(key, _ABSENT), inner)
    elif before != now:
        yield name, before, now


def _short(value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    if isinstance(value, str) and _DIGEST.fullmatch(value):
        value = f"{value[:8]}..."
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

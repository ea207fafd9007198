"""An output folder that appears complete or not at all, and goes on after a kill."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from slr_probe.errors import OutputError
from slr_probe.files import disk_full, reason
from slr_probe.store import hold

_PLAN = "slr_probe.plan.json"


@contextmanager
def output_folder(out: Path, key: dict[str, Any], *, needed: int) -> Iterator[Path]:
    """A hidden working folder beside `out` that takes its name when the `with` block ends well.

    After an exception the working folder is removed. After a kill it stays, and the next call with the same
    `key` is handed it again with the files in it; with another key it starts afresh.

    Args:
        out: The folder to create.
        key: What the content follows from.
        needed: Bytes that will be written, checked against the free space first.

    Raises:
        OutputError: `out` is not empty, another process is writing it, or the disk is or gets full.
    """
    try:
        out = out.expanduser().resolve()  # a link to an empty folder cannot be replaced, what it points to can
        _require_free(out)
    except (OSError, RuntimeError) as error:  # a name too long, a loop of links, or the home of nobody
        raise OutputError(f"cannot create {out}: {getattr(error, 'strerror', None) or error}") from error
    work = out.with_name(f".{out.name}.slr_probe-partial")
    missing = [parent for parent in work.parents if not parent.exists()]
    _make(work, missing, out)
    with hold(work / _PLAN, out) as plan:
        try:
            _adopt(work, plan, json.dumps(key, sort_keys=True))
            _check_space(work, needed)
            yield work
            _require_free(out)
            os.replace(work, out)
            (out / _PLAN).unlink()  # last: who opens it before this is told that the folder is in use
        except BaseException as error:
            shutil.rmtree(work, ignore_errors=True)
            _remove(work, missing)
            if disk_full(error):
                raise OutputError(f"no space left while writing {out}; nothing was left behind") from error
            raise


def _make(work: Path, missing: list[Path], out: Path) -> None:
    """Make the working folder, or see that what stands there is one: it is emptied later."""
    if work.is_symlink() or (work.is_dir() and any(work.iterdir()) and not (work / _PLAN).is_file()):
        raise OutputError(f"{work} stands where the files of {out} are written first, and is not ours; remove it")
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _remove(work, missing)
        raise OutputError(f"cannot create {out}: {reason(error)}") from error


def _require_free(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is no folder; give a new folder")
    if out.exists() and any(out.iterdir()):
        raise OutputError(f"{out} exists and is not empty; give a new folder, or remove it first")


def _remove(work: Path, created: list[Path]) -> None:
    """Remove the working folder and the parents that were created for it, as far as they are empty."""
    with suppress(OSError):
        for folder in (work, *created):
            if folder.exists():
                folder.rmdir()


def _adopt(work: Path, plan: IO[str], key: str) -> None:
    """Keep finished files of a killed run of the same key; clear those of any other."""
    plan.seek(0)
    if plan.read() == key:
        return
    for entry in work.iterdir():
        if entry.name != _PLAN:
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    plan.seek(0)
    plan.truncate()
    plan.write(key)
    plan.flush()


def _check_space(work: Path, needed: int) -> None:
    written = sum(file.stat().st_size for file in work.iterdir())
    free = shutil.disk_usage(work).free
    if needed - written > free:
        raise OutputError(
            f"not enough space for {work.parent}: {needed - written >> 20} MiB are needed, {free >> 20} MiB are free"
        )

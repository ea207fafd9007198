"""What a study's folder says of itself: which stage is done, from what, and which files belong to it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from slr_probe.errors import ResultError, StudyError
from slr_probe.files import read_json, write_json, write_text
from slr_probe.study.place import study_store
from slr_probe.study.stage import Stage

FORMAT = "slr_probe.study/1"
_RECORD = "stage.json"


class Records:
    """The records of one study's folder.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> dict[str, Any] | None:
        """The record of a stage; None where it is not finished or its files are not what it wrote."""
        try:
            record: dict[str, Any] = read_json(self.folder / name / _RECORD)
            sizes = record["files"]
            whole = all((self.folder / path).stat().st_size == size for path, size in sizes.items())
        except (ResultError, OSError, KeyError, TypeError, AttributeError):
            return None
        return record if whole else None

    def open(self, stage: Stage, key: str, *, afresh: bool = False) -> Path:
        """The stage's folder, emptied unless an unfinished run under the same key left something to go on from."""
        home = self.folder / stage.name
        started = self._started(stage)
        finished = home / _RECORD
        same = started.is_file() and started.read_text(encoding="utf-8") == key and not finished.exists()
        if afresh or not same:
            finished.unlink(missing_ok=True)  # first: whoever looks now sees a stage that is not done
            for path in (*(self.folder / name for name in stage.owns), home):
                _remove(path)
        home.mkdir(parents=True, exist_ok=True)
        write_text(started, key)
        return home

    def close(self, stage: Stage, record: Mapping[str, Any]) -> None:
        """Write the record of a finished stage; from now on it counts as done."""
        home = self.folder / stage.name
        paths = [home, *(self.folder / name for name in stage.owns)]
        files = {str(path.relative_to(self.folder)): path.stat().st_size for path in _files(paths)}
        write_json(home / _RECORD, {**record, "files": files})
        self._started(stage).unlink(missing_ok=True)

    def _started(self, stage: Stage) -> Path:
        """Marks a stage that was begun, with its key; beside its folder, which may have to be empty at first."""
        return self.folder / f".{stage.name}.started"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder and hold it, so that no second process writes into it.

        Raises:
            OutputError: It cannot be made or written into, or another process holds it.
        """
        with study_store(self.folder).locked():
            for left in self.folder.rglob(".*.partial"):  # of a run that was killed while it wrote a file
                left.unlink(missing_ok=True)
            yield


def check_folder(folder: Path, pair: Mapping[str, Mapping[str, str]]) -> None:
    """Refuse a folder that is neither new nor a study of this pair.

    Args:
        folder: Where the study goes.
        pair: Base and tuned, as `describe_pair` describes them.

    Raises:
        StudyError: It holds something else, or a study of another pair.
    """
    store = study_store(folder)
    store.refuse_foreign()
    run = store.request()
    if run is None:
        return
    try:
        sides = {role: run["pair"][role] for role in ("base", "tuned")}
        known = {role: side.get("contents", side["fingerprint"]) for role, side in sides.items()}  # once its name
        names = " and ".join(str(run["pair"][role]["source"]) for role in ("base", "tuned"))
    except (KeyError, TypeError):
        raise StudyError(f"{store.manifest} describes no run of slr-probe; give a new folder") from None
    if known != {role: side["contents"] for role, side in pair.items()}:
        raise StudyError(f"{folder} holds the run of another pair ({names}, as they were then); give a new folder")


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_file():
            yield path
            continue
        for parent, folders, names in os.walk(path):
            folders.sort()
            yield from (Path(parent) / name for name in sorted(names) if not name.startswith(".") and name != _RECORD)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

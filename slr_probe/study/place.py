"""Whether a folder can take a study or a table of studies; loads no torch, so that it is asked first."""

from __future__ import annotations

from pathlib import Path

from slr_probe.errors import OutputError, StudyError
from slr_probe.store import Store

RUN = "run.json"
SETTINGS = "settings.toml"
STUDIES = "studies"
TABLE = "table"


def study_store(folder: Path) -> Store:
    """The folder of a study, with what may lie in it before the study does."""
    return Store(folder, RUN, what="run of slr-probe", error=StudyError, beside=(SETTINGS,))


def check_home(home: Path) -> None:
    """Check, before any study, that the folder of a table is new or of an earlier call.

    Raises:
        OutputError: It is a file, or holds something and no studies.
    """
    if home.exists() and not home.is_dir():
        raise OutputError(f"{home} is a file; give a folder")
    ours = (home / STUDIES).is_dir() or (home / f"{TABLE}.npz").is_file()
    if home.is_dir() and any(home.iterdir()) and not ours:
        raise OutputError(f"{home} is not empty and holds no table of pairs; give a new folder")

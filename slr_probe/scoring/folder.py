"""The folder of a validation or lineage: what was asked, outputs, cached scores, and whether it is complete."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.errors import OutputError, ResultError
from slr_probe.files import read_npz, safe_name, save_figure, write_json, write_npz, write_text
from slr_probe.scoring.scoring import Questions, Scorers, Scores

if TYPE_CHECKING:
    from slr_probe.generation import Outputs
    from slr_probe.tasks.text import TextTask

MARK = "INCOMPLETE"
ASKED = "asked.json"
SWEEPS = "crc"
HYBRIDS = "hybrids"
_SCORES = "slr_probe.scores/1"


class Folder:
    """Where a run leaves its outputs and scores; None keeps nothing.

    While a run is at work, and after it was killed, the folder holds a file `INCOMPLETE`; it goes when all is written.

    Args:
        path: The folder; made if it is not there.
        asked: What the run depends on. A folder of another run is refused.

    Raises:
        OutputError: The folder belongs to another run, holds something else, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str] | None, asked: Mapping[str, Any]) -> None:
        self.path = None if path is None else Path(path)
        if self.path is None:
            return
        asked = json.loads(json.dumps(asked))
        file = self.path / ASKED
        if file.exists():
            self._check(file, asked)
        self.refuse_foreign(path)
        write_json(file, asked, indent=1)

    @staticmethod
    def refuse_foreign(path: str | os.PathLike[str] | None) -> None:
        """Check that a folder is absent, empty, or of an earlier run.

        Raises:
            OutputError: It holds something else.
        """
        folder = None if path is None else Path(path)
        if folder is None or not folder.is_dir() or (folder / ASKED).exists():
            return
        if any(one.name != SWEEPS for one in folder.iterdir()):
            raise OutputError(f"{folder} is not empty and holds no earlier run of this kind; give a new folder")

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Mark the folder as incomplete until the block ends without an exception."""
        if self.path is None:
            yield
            return
        mark = write_text(self.path / MARK, "This run is at work, or was interrupted: the same command goes on.\n")
        yield
        mark.unlink(missing_ok=True)

    def outputs(self, *parts: str) -> Path | None:
        """Folder for the outputs of a group of models on one task."""
        return None if self.path is None else self.path.joinpath("outputs", *map(safe_name, parts))

    def scores(self, task: TextTask | None, outputs: Outputs, scorers: Scorers, place: str) -> Scores:
        """Scores of outputs, group by group; what was scored before is read and not computed again.

        A judge that failed on some outputs is asked again the next time, as nothing is kept of that group; and so is a
        scoring model that has neither `describe()` nor a `name`.

        Args:
            task: The task, or None.
            outputs: What a model wrote.
            scorers: The models that score.
            place: Name of the task and of the model, for the files.
        """
        found: Scores = {}
        asked: Questions | None = None
        for group, measure in scorers.groups.items():
            file = None
            key = scorers.key(group, task, outputs)
            if self.path is not None and key is not None:
                file = self.path / "scores" / f"{safe_name(place)}-{group}-{key[:16]}.npz"
                try:
                    found |= read_npz(file, _SCORES)[0]
                    continue
                except ResultError:
                    pass  # not there, or damaged: measured again
            asked = asked or Questions.of(task, outputs, scorers.tags)
            new = measure(asked)
            if file is not None and not np.nansum(new.get("judge_missing", 0)):
                write_npz(file, _SCORES, new, {"model": outputs.model, "group": group})
            found |= new
        return found

    def keep(self, found: Any, stem: str, figure: str) -> None:
        """Write a result as `stem.npz` and `stem.json`, its table, its text and its figure."""
        if self.path is None:
            return
        found.save(self.path / f"{stem}.npz")
        write_json(self.path / f"{stem}.json", found.to_dict(), indent=1)
        self.keep_text("table.csv", found.to_dataframe().to_csv(index=False))
        self.keep_text("report.txt", f"{found}\n")
        save_figure(found.plot(), self.path / figure)

    def keep_text(self, name: str, text: str) -> None:
        """Write a text file beside them; without a folder, nothing."""
        if self.path is not None:
            write_text(self.path / name, text, errors="replace")

    def _check(self, file: Path, asked: Mapping[str, Any]) -> None:
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise OutputError(f"cannot read {file}: {error}; give a new folder") from error
        names = [*asked, *(name for name in found if name not in asked)] if isinstance(found, dict) else ["all"]
        other = [name for name in names if not isinstance(found, dict) or found.get(name) != asked.get(name)]
        if other:
            raise OutputError(
                f"{self.path} holds another run, with other {', '.join(other)}; give a new folder, or the same settings"
            )

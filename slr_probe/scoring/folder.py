"""The folder of a validation or lineage: what was asked, outputs, cached scores, and whether it is complete."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.files import safe_name, save_figure, write_json, write_npz, write_text
from slr_probe.scoring.inputs import ScoringInputs
from slr_probe.scoring.measures import Scores
from slr_probe.scoring.scoring import Scorers
from slr_probe.store import Store, find_part

if TYPE_CHECKING:
    from slr_probe.generation import Outputs
    from slr_probe.tasks.text import TextTask

ASKED = "asked.json"
SWEEPS = "crc"
HYBRIDS = "hybrids"
_SCORES = "slr_probe.scores/1"


class Folder:
    """Where a run leaves its outputs, scores and result.

    Args:
        path: The folder, made when something is written; None keeps nothing.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self.path = None if path is None else Path(path)
        self._store = None if self.path is None else Store(self.path, ASKED, beside=(SWEEPS,))

    def refuse_foreign(self) -> None:
        """Check that the folder is absent, empty, or of an earlier run.

        Raises:
            OutputError: It holds something else.
        """
        if self._store is not None:
            self._store.refuse_foreign()

    @contextmanager
    def at_work(self, asked: Mapping[str, Any]) -> Iterator[None]:
        """Hold the folder for one run, and mark it as incomplete until the block ends without an exception.

        Args:
            asked: What the run depends on. A folder of another run is refused.

        Raises:
            OutputError: The folder belongs to another run, holds something else, is in use, or cannot be written.
        """
        if self._store is None:
            yield
            return
        self._store.refuse_foreign()
        with self._store.locked():
            self._store.claim(asked)
            with self._store.at_work():
                yield

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
        scores: Scores = {}
        inputs: ScoringInputs | None = None
        for group, measure in scorers.groups.items():
            key = scorers.key(group, task, outputs)
            file = self._part(place, group, key)
            kept = None if file is None else find_part(file, _SCORES)
            if kept is not None:
                scores |= kept[0]
                continue
            inputs = inputs or ScoringInputs.of(task, outputs, scorers.tags)
            new = measure(inputs)
            if file is not None and not np.nansum(new.get("judge_missing", 0)):
                write_npz(file, _SCORES, new, {"model": outputs.model, "group": group})
            scores |= new
        return scores

    def _part(self, place: str, group: str, key: str | None) -> Path | None:
        """File of the scores of one group; None where they cannot be kept."""
        if self.path is None or key is None:
            return None
        return self.path / "scores" / f"{safe_name(place)}-{safe_name(group)}-{key[:16]}.npz"

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

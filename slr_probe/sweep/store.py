"""Results of a running sweep on disk, so that a killed one goes on where it stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from slr_probe.errors import SweepError
from slr_probe.files import digest, write_npz
from slr_probe.store import Store, find_part
from slr_probe.sweep.reads.rows import Asked

_CHUNK = "slr_probe.sweep_chunk/2"
_CHUNKS = "chunk-*.npz"
_MANIFEST = "manifest.json"


class Table:
    """Arrays of a sweep, filled piece by piece.

    Args:
        recipes: Number of recipes.
        asked: What is asked of each.

    Attributes:
        arrays: By name, each `[recipe, read, ...]` with the reads of its reader.
        done: `[recipe, row]`, whether all reads of the row are filled.
    """

    def __init__(self, recipes: int, asked: Asked) -> None:
        self._asked = asked
        self._blank = [reader.blank(recipes, sum(len(r.reads) for r in reader.rows)) for reader in asked.readers]
        self.arrays = {name: array for arrays in self._blank for name, array in arrays.items()}
        self.done = np.zeros((recipes, len(asked.rows)), dtype=bool)

    def put(self, recipes: Any, rows: Any, arrays: Mapping[str, ndarray[Any, Any]]) -> None:
        """Fill in what was read for some recipes and rows."""
        for name, where in self._places(recipes, rows):
            some = slice(arrays[name].shape[-1])  # a tiny vocabulary has fewer invalid tokens than are asked for
            self.arrays[name][(*where, ..., some)] = arrays[name]
        self.done[np.ix_(np.asarray(recipes, dtype=int), np.asarray(rows, dtype=int))] = True

    def take(self, recipes: Any, rows: Any) -> dict[str, ndarray[Any, Any]]:
        """The arrays for some recipes and rows."""
        return {name: self.arrays[name][where] for name, where in self._places(recipes, rows)}

    def _places(self, recipes: Any, rows: Any) -> Iterator[tuple[str, Any]]:
        """Which part of which array some recipes and rows fill."""
        for part in self._asked.parts(rows):
            where = np.ix_(np.asarray(recipes, dtype=int), part.reads)
            for name in self._blank[self._asked.readers.index(part.reader)]:
                yield name, where


class ChunkStore:
    """A folder that holds what a sweep has measured so far, in chunks of recipes and rows.

    Args:
        folder: The folder; made if it is not there.
        identity: What the results depend on. A folder that holds results of anything else is refused.
    """

    def __init__(self, folder: str | os.PathLike[str], identity: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.identity: dict[str, Any] = json.loads(json.dumps(identity))
        self._store = Store(self.folder, _MANIFEST, what="sweep", error=SweepError)
        self.key = digest(self.identity)

    @property
    def finished(self) -> bool:
        """Whether the folder holds the whole result of this sweep.

        Raises:
            SweepError: It holds results of another sweep, or something else.
        """
        self._store.refuse_foreign()
        self._check_sides()
        if not self.result.exists():
            return False
        self._claim()
        return True

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder for this sweep.

        Raises:
            SweepError: The folder holds results of another sweep; the message says what differs.
            OutputError: It cannot be written, or another process sweeps into it.
        """
        with self._store.locked():
            self._claim()
            yield

    def _claim(self) -> None:
        self._check_cut()
        self._store.claim(self.identity, key=self.key)

    def _check_cut(self) -> None:
        """Name the way out where the same sweep was begun in another cut, whose numbers would be rounded otherwise."""
        known, cut = self._store.request() or self.identity, "block" in self.identity
        if ("block" in known) != cut:
            how = "all at once, without an executor" if cut else "in blocks, by an executor"
            again = "give none" if cut else "give executor='local' or another"
            raise SweepError(
                f"the sweep in {self.folder} was begun {how}, and is not gone on with otherwise, as numbers would be "
                f"rounded in two ways: {again}, or delete that folder, and this sweep alone is done again"
            )

    def _check_sides(self) -> None:
        known = self._store.request() or self.identity
        changed = [side for side in ("base", "tuned") if known.get(side) != self.identity[side]]
        if changed:
            raise SweepError(
                f"the {' and '.join(changed)} checkpoint changed since the sweep in {self.folder} was begun: its "
                "weights or its config are not the same, or its files were written again; give a new folder as out= to "
                "sweep it as it is now"
            )

    @property
    def result(self) -> Path:
        """File of the whole result."""
        return self.folder / "sweep.npz"

    def load(self, table: Table) -> None:
        """Fill in what earlier runs measured; a damaged chunk is measured again.

        Raises:
            SweepError: A chunk of another sweep.
        """
        for path in sorted(self.folder.glob(_CHUNKS)):
            found = find_part(path, _CHUNK)
            if found is None:
                continue
            arrays, plain = found
            if plain.get("key") != self.key:
                raise SweepError(f"{path} belongs to another sweep; delete it or give a new folder as out=")
            table.put(arrays["recipes"], arrays["rows"], arrays)

    def append(self, table: Table, recipes: Any, rows: Any) -> None:
        """Save one more chunk; it is there whole or not at all."""
        recipes, rows = np.asarray(recipes, dtype=int), np.asarray(rows, dtype=int)
        arrays = {"recipes": recipes, "rows": rows, **table.take(recipes, rows)}
        name = digest([recipes.tolist(), rows.tolist()])[:16]
        write_npz(self.folder / f"chunk-{name}.npz", _CHUNK, arrays, {"key": self.key})

    def clear(self) -> None:
        """Drop the chunks, once the result is saved as a whole."""
        for path in self.folder.glob(_CHUNKS):
            path.unlink()

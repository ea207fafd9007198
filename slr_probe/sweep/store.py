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

_CHUNK = "slr_probe.sweep_chunk/1"
_CHUNKS = "chunk-*.npz"
_MANIFEST = "manifest.json"


class Table:
    """Arrays of a sweep, filled piece by piece.

    Attributes:
        answer_logprobs: `[recipe, prompt, answer]`.
        invalid_tokens: `[recipe, prompt, invalid]`.
        invalid_logprobs: `[recipe, prompt, invalid]`.
        done: `[recipe, prompt]`, whether it is filled.
    """

    names = ("answer_logprobs", "invalid_tokens", "invalid_logprobs")

    def __init__(self, recipes: int, prompts: int, answers: int, invalid: int) -> None:
        self.answer_logprobs = np.full((recipes, prompts, answers), -np.inf, dtype=np.float32)
        self.invalid_tokens = np.full((recipes, prompts, invalid), -1, dtype=np.int64)
        self.invalid_logprobs = np.full((recipes, prompts, invalid), -np.inf, dtype=np.float32)
        self.done = np.zeros((recipes, prompts), dtype=bool)

    def put(self, recipes: Any, prompts: Any, arrays: Mapping[str, ndarray[Any, Any]]) -> None:
        """Fill in `[recipe, prompt, ...]` arrays for some recipes and prompts."""
        where = np.ix_(np.asarray(recipes, dtype=int), np.asarray(prompts, dtype=int))
        for name in self.names:  # a chunk is as wide as the largest set of answers in it
            getattr(self, name)[(*where, slice(arrays[name].shape[-1]))] = arrays[name]
        self.done[where] = True

    def take(self, recipes: Any, prompts: Any) -> dict[str, ndarray[Any, Any]]:
        """The arrays for some recipes and prompts."""
        where = np.ix_(np.asarray(recipes, dtype=int), np.asarray(prompts, dtype=int))
        return {name: getattr(self, name)[where] for name in self.names}


class ChunkStore:
    """A folder that holds what a sweep has measured so far, in chunks of recipes and prompts.

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
        self._store.claim(self.identity, key=self.key)

    def _check_sides(self) -> None:
        known = self._store.request() or self.identity
        changed = [side for side in ("base", "tuned") if known.get(side) != self.identity[side]]
        if changed:
            raise SweepError(
                f"the {' and '.join(changed)} checkpoint changed since the sweep in {self.folder} was begun: its "
                "weights or its config are not the same; give a new folder as out= to sweep it as it is now"
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
            table.put(arrays["recipes"], arrays["prompts"], arrays)

    def append(self, table: Table, recipes: Any, prompts: Any) -> None:
        """Save one more chunk; it is there whole or not at all."""
        recipes, prompts = np.asarray(recipes, dtype=int), np.asarray(prompts, dtype=int)
        arrays = {"recipes": recipes, "prompts": prompts, **table.take(recipes, prompts)}
        name = digest([recipes.tolist(), prompts.tolist()])[:16]
        write_npz(self.folder / f"chunk-{name}.npz", _CHUNK, arrays, {"key": self.key})

    def clear(self) -> None:
        """Drop the chunks, once the result is saved as a whole."""
        for path in self.folder.glob(_CHUNKS):
            path.unlink()

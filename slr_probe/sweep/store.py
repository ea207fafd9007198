"""Results of a running sweep on disk, so that a killed one goes on where it stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from slr_probe.errors import SweepError
from slr_probe.files import digest, read_npz, write_json, write_npz

_CHUNK = "slr_probe.sweep_chunk/1"
_MANIFEST = "manifest.json"
FINAL = "sweep.npz"


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


class Store:
    """A folder that holds what a sweep has found so far.

    Args:
        folder: The folder; made if it is not there.
        identity: What the results depend on. A folder that holds results of anything else is refused.

    Raises:
        SweepError: The folder holds results of another sweep; the message says what differs.
    """

    def __init__(self, folder: str | os.PathLike[str], identity: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self._identity = json.loads(json.dumps(identity))
        self.key = digest(self._identity)
        manifest = self.folder / _MANIFEST
        if manifest.exists():
            self._check(manifest)
        elif self.folder.is_dir() and any(self.folder.iterdir()):
            raise SweepError(f"{self.folder} is not empty and holds no sweep; give a new folder as out=")
        else:
            write_json(manifest, {"key": self.key, **self._identity}, indent=1)

    def _check(self, manifest: Path) -> None:
        try:
            found = json.loads(manifest.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SweepError(f"cannot read {manifest}: {error}") from error
        if not isinstance(found, dict) or found.get("key") == self.key:
            if isinstance(found, dict):
                return
            raise SweepError(f"{manifest} is not a manifest of a sweep")
        differing = [name for name in self._identity if found.get(name) != self._identity[name]]
        changed = [name for name in differing if name in ("base", "tuned")]
        if changed:
            raise SweepError(
                f"the {' and '.join(changed)} checkpoint changed since the sweep in {self.folder} was begun: its "
                "weights or its config are not the same; give a new folder as out= to sweep it as it is now"
            )
        raise SweepError(
            f"{self.folder} holds another sweep, with other {', '.join(differing) or 'settings'}; give a new folder "
            "as out="
        )

    def load(self, table: Table) -> None:
        """Fill in what earlier runs found."""
        for path in sorted(self.folder.glob("chunk-*.npz")):
            arrays, plain = read_npz(path, _CHUNK)
            if plain.get("key") != self.key:
                raise SweepError(f"{path} belongs to another sweep; delete it or give a new folder as out=")
            table.put(arrays["recipes"], arrays["prompts"], arrays)

    def append(self, table: Table, recipes: Any, prompts: Any) -> None:
        """Save one more piece; it is there whole or not at all."""
        recipes, prompts = np.asarray(recipes, dtype=int), np.asarray(prompts, dtype=int)
        arrays = {"recipes": recipes, "prompts": prompts, **table.take(recipes, prompts)}
        name = digest([recipes.tolist(), prompts.tolist()])[:16]
        write_npz(self.folder / f"chunk-{name}.npz", _CHUNK, arrays, {"key": self.key})

    def clear(self) -> None:
        """Drop the pieces, once the result is saved as a whole."""
        for path in self.folder.glob("chunk-*.npz"):
            path.unlink()

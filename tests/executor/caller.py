"""A caller that sweeps and writes on Ray, says what it does, and is slow enough to be killed in between."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from slr_probe import ModelPair
from slr_probe.executor import Executor, RayExecutor
from slr_probe.generation import Sampling, generate
from slr_probe.sweep import sweep
from slr_probe.sweep.spread import BLOCK
from slr_probe.tasks.answers import Query

PROMPTS = [Query((11, 12, 20 + i % 40, *range(30, 31 + i % 4)), ((20, 21), (22,))) for i in range(6 * BLOCK - 5)]
TEXTS = [(f"p{i}", f"Say {' '.join('abcde'[: 1 + i % 4])}") for i in range(45)]


def sweeps(pair: ModelPair, executor: Executor, out: Path | None = None) -> Any:
    """A sweep of six parts."""
    return sweep(pair, ["1:2", "0:3"], PROMPTS, out=out and out / "sweep", executor=executor)


def writes(pair: ModelPair, executor: Executor, out: Path | None = None) -> Any:
    """Text in twelve parts."""
    sampling = Sampling(max_tokens=3, seed=1)
    return generate(
        pair, TEXTS, ["tuned", "1:3"], samples=2, sampling=sampling, out=out and out / "text", executor=executor
    )


class Telling:
    """Does what another executor does and notes which parts it was given, and which were kept.

    Args:
        executor: The other executor.
        notes: File with a line for each note.
        pause: Seconds to wait after each part that was kept.
    """

    def __init__(self, executor: Executor, notes: Path, pause: float = 0.0) -> None:
        self._executor, self._notes, self._pause = executor, notes, pause

    def run(self, work: Any, parts: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """The same parts; whoever asks for the next one has kept the one before."""
        self._note("given", parts)
        for number, found in self._executor.run(work, parts):
            print(os.getpid(), flush=True)
            yield number, found
            self._note("kept", [parts[number]])
            time.sleep(self._pause)

    def close(self) -> None:
        """As the other executor does."""
        self._executor.close()

    def _note(self, what: str, parts: Sequence[Any]) -> None:
        with self._notes.open("a") as file:
            file.writelines(f"{what} {part}\n" for part in parts)


def main(base: str, tuned: str, out: str, address: str) -> None:
    """Do all of it; this process's number is said before each part is kept, and in the end."""
    pair = ModelPair.load(base, tuned, device="cpu")
    executor = Telling(RayExecutor(address, workers=1), Path(out) / "notes", pause=0.3)
    sweeps(pair, executor, Path(out))
    writes(pair, executor, Path(out))
    print(os.getpid(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

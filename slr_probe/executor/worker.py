"""What runs on the machines of a cluster: a process that keeps one piece of work open and does its parts."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from slr_probe.errors import ExecutorError
from slr_probe.version import __version__


class Worker:
    """Does parts of one piece of work after the other; models and engines of a work stay open between its parts.

    Args:
        threads: Threads to compute with. Rounding depends on them, so all workers have as many as the caller.
        expected: Versions of the caller's libraries.

    Raises:
        ExecutorError: This machine has others.
    """

    def __init__(self, threads: int, expected: dict[str, str]) -> None:
        found = versions()
        differing = [f"{name} {found[name]} for {wanted}" for name, wanted in expected.items() if found[name] != wanted]
        if differing:
            raise ExecutorError(f"a worker has {', '.join(differing)}; install the same versions on all machines")
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # torch, which is not loaded yet, reads them
            os.environ[name] = str(threads)
        self._sent: Any = None
        self._held = ExitStack()
        self._do: Callable[[Any], Any] | None = None

    def ready(self) -> bool:
        """Answers once the worker is there."""
        return True

    def do(self, sent: list[Any], part: Any) -> Any:
        """One part of a piece of work, which is sent as a reference, so that it travels once to each worker."""
        if self._do is None or self._sent != sent[0]:
            self._open(sent[0])
        assert self._do is not None
        return self._do(part)

    def end(self) -> None:
        """Close what is open: engines end, and files of this worker alone go."""
        self._do = None
        self._held.close()

    def _open(self, sent: Any) -> None:
        import ray

        self._do = None
        self._held.close()
        work = ray.get(sent)
        self._do, self._sent = self._held.enter_context(work.open()), sent


def versions() -> dict[str, str]:
    """Versions of what numbers depend on."""
    found = {"slr_probe": __version__}
    for package in ("torch", "transformers"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return found

"""What a verb will cost, told before it begins; then its progress as one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slr_probe.progress import Cost

PATIENCE = 5.0
"""Seconds of silence before a line says what is being waited for (ours)."""


@contextmanager
def foretold(cost: Callable[[], Cost], what: str, *, quicker: str) -> Iterator[None]:
    """Run something as one course, and say on standard error what it costs once it begins; nothing where all is quiet.

    Args:
        cost: Estimates it.
        what: Name of the verb.
        quicker: What to give for less, named where it is long.
    """
    from slr_probe.progress import course, silenced, step

    found = None if silenced() else _estimated(cost, what)
    if found is None:
        yield
        return
    with course(what, {"": 1.0}, seconds=found.seconds) as told, step(""):
        told.begun = partial(_tell, found, what, quicker)
        yield


def _estimated(cost: Callable[[], Cost], what: str) -> Cost | None:
    """What it costs; where finding that out takes a while itself, a line says what is being waited for."""
    from slr_probe.progress import Cost

    words = f"{what}: measuring how fast this machine is ..."
    waiting = Timer(PATIENCE, partial(print, words, file=sys.stderr, flush=True))
    waiting.start()
    try:
        return Cost.of(cost)
    finally:
        waiting.cancel()


def _tell(cost: Cost, what: str, quicker: str) -> None:
    print(f"{what} takes {cost} on a quiet machine with {_threads()}", file=sys.stderr, flush=True)
    if cost.long and quicker:
        print(f"for a first look in less time: {quicker}", file=sys.stderr, flush=True)


def _threads() -> str:
    import torch

    used, cores = torch.get_num_threads(), usable_cores()
    return f"{used} of {cores} cores" if used != cores else f"{used} core{'s' * (used > 1)}"


def usable_cores() -> int:
    """Cores that this process may use: fewer than the machine has under a scheduler or in a container with a quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, round(_quota())))


def _quota() -> float:
    """Cores that the container may use, in Linux's control groups of version 2; infinite where there is no limit."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return int(quota) / int(period)
    except (OSError, ValueError):  # none, or "max"
        return 1e9

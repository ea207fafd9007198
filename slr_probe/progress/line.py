"""Where progress is told: a bar on a terminal or in Jupyter, elsewhere a line on standard error every 30 seconds."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from threading import Event, Thread
from typing import Any, Protocol

EVERY = 30.0
"""Seconds between two lines where there is no terminal (ours)."""
_REDRAWN = 0.2  # seconds between two drawings of a bar


class Line(Protocol):
    """Somewhere to tell progress."""

    def show(self, share: float) -> None:
        """Something has moved on: so much is done, 0 to 1."""

    def close(self) -> None:
        """Nothing more will be told."""


class Heartbeat:
    """A line every 30 seconds from a thread of its own, so that nothing that takes long is silent."""

    def __init__(self, tell: Callable[[], str]) -> None:
        self._tell, self._over = tell, Event()
        Thread(target=self._beat, daemon=True, name="heartbeat").start()

    def _beat(self) -> None:
        while not self._over.wait(EVERY):
            print(self._tell(), file=sys.stderr, flush=True)

    def show(self, share: float) -> None:
        """It is told when its time has come."""

    def close(self) -> None:
        """End the thread."""
        self._over.set()


class Drawn:
    """A bar with a text before and behind it."""

    def __init__(self, tell: Callable[[], str]) -> None:
        self._tell, self._last = tell, 0.0
        self._bar = tqdm_class()(total=1.0, leave=False, bar_format="{bar:20} {desc}")
        self.show(0.0)

    def show(self, share: float) -> None:
        """Draw it, if it was not drawn just now."""
        now = time.monotonic()
        if now - self._last >= _REDRAWN:
            self._last, self._bar.n = now, min(share, 1.0)
            self._bar.set_description_str(self._tell())

    def close(self) -> None:
        """Take it away."""
        self._bar.close()


def open_line(tell: Callable[[], str], show: bool | None) -> Line | None:
    """Where progress is told.

    Args:
        tell: Gives what there is to say.
        show: True for a bar. None for a bar on a terminal and in Jupyter, and elsewhere for a line every 30 seconds,
            but for nothing where `TQDM_DISABLE` is set. False for nothing.
    """
    if visible(show):
        return Drawn(tell)
    return None if silenced(show) else Heartbeat(tell)


def visible(show: bool | None) -> bool:
    """Whether a bar is drawn."""
    if show is None:
        return not silenced(show) and (sys.stderr.isatty() or _in_notebook())
    return show


def silenced(show: bool | None = None) -> bool:
    """Whether nothing is told at all."""
    return show is False or (show is None and bool(os.environ.get("TQDM_DISABLE")))


def tqdm_class() -> Any:
    """The class of bars: widgets in Jupyter where ipywidgets is installed."""
    if find_spec("ipywidgets") is None:  # tqdm.auto would warn in every notebook
        from tqdm import tqdm
    else:
        from tqdm.auto import tqdm
    return tqdm


def _in_notebook() -> bool:
    """Whether this process is a Jupyter kernel; that its packages were imported says nothing."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"

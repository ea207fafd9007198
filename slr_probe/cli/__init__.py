"""The command line, one file for each part of the flow. A leaf that nothing imports."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from slr_probe.cli.cost import usable_cores
from slr_probe.errors import SlrProbeError, one_line, printable

if TYPE_CHECKING:
    import typer

__all__ = ["main", "program"]

_INTERRUPTED, _BAD_INPUT, _FAULT = 130, 2, 3
_TRACEBACK = "SLR_PROBE_TRACEBACK"
_LONGEST = 2000  # characters of an error


def main() -> None:
    """Run the command line: exit 0 on success, 1 when a check fails, 2 with one clear line on bad input.

    Exit 3, with a line as well, is an error that we did not foresee; its traceback is shown where the environment
    variable SLR_PROBE_TRACEBACK is set.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("USE_HUB_KERNELS", "NO")  # code that transformers would fetch while a model runs
    os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))  # more threads than cores wait for each other
    atexit.register(gc.freeze)  # or Python looks through all of torch and transformers for garbage as it ends: 0.7 s
    if "--download" not in sys.argv:  # no bars of others between our lines
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    with _harmless_streams():
        try:
            program()(prog_name="slr-probe")
        except SlrProbeError as error:
            _end(_BAD_INPUT, f"error: {one_line(error, _LONGEST)}")
        except (KeyboardInterrupt, SystemExit) as end:
            code = _INTERRUPTED if isinstance(end, KeyboardInterrupt) else end.code
            # Typer ends with it too, without a word
            _end(code, "interrupted; nothing half-written was left behind" if code == _INTERRUPTED else "")
        except BaseException as error:
            if os.environ.get(_TRACEBACK):
                raise
            told = one_line(f"{type(error).__name__}: {error}")
            _end(_FAULT, f"error: not foreseen, please report it with what {_TRACEBACK}=1 shows: {told}")


def program() -> typer.Typer:
    """The application with all its verbs; imported here, so that an interruption while it starts is one line too."""
    from slr_probe.cli.app import app
    from slr_probe.cli.verbs import (  # noqa: F401  (each adds verbs)
        chat,
        check_task,
        compare,
        evaluate,
        hybrids,
        lineage,
        mask,
        probes,
        ranking,
        sharing,
        study,
        validate,
    )

    return app


def _warn(message: Warning | str, *where: Any, **more: Any) -> None:
    """A warning in a line, without the place in our code that gives it."""
    print(f"warning: {one_line(message, _LONGEST)}", file=sys.stderr, flush=True)


def _end(code: Any, line: str) -> None:
    if line:
        print(line, file=sys.stderr)
    raise SystemExit(code) from None


class _Harmless:
    """A stream on which names, prompts and messages of others cannot move the cursor or recolour the screen."""

    def __init__(self, stream: Any, kept: str = "") -> None:
        self._stream, self._kept = stream, kept

    def write(self, text: str) -> int:
        """Write text, with what a terminal obeys spelled out."""
        lines = text.split(self._kept) if self._kept else [text]
        self._stream.write((self._kept or "").join(map(printable, lines)))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _harmless_streams() -> Iterator[None]:
    before, warn = (sys.stdout, sys.stderr), warnings.showwarning
    for stream in before:
        if hasattr(stream, "reconfigure"):  # a terminal that is not UTF-8 shows what it cannot spell as code
            stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = _Harmless(before[0]), _Harmless(before[1], kept="\r")  # the progress bar goes back
    warnings.showwarning = _warn
    try:
        yield
    finally:
        (sys.stdout, sys.stderr), warnings.showwarning = before, warn

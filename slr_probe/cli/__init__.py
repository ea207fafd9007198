"""The command line, one file for each part of the flow. A leaf that nothing imports."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from slr_probe.errors import SlrProbeError

if TYPE_CHECKING:
    import typer

__all__ = ["main", "program"]

_INTERRUPTED = 130


def main() -> None:
    """Run the command line: exit 0 on success, 1 when a check fails, 2 with one clear line on bad input."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        program()(prog_name="slr-probe")
    except SlrProbeError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except (KeyboardInterrupt, SystemExit) as end:
        code = _INTERRUPTED if isinstance(end, KeyboardInterrupt) else end.code
        if code == _INTERRUPTED:  # Typer ends with it too, without a word
            print("interrupted; nothing half-written was left behind", file=sys.stderr)
        raise SystemExit(code) from None


def program() -> typer.Typer:
    """The application with all its verbs; imported here, so that an interruption while it starts is one line too."""
    from slr_probe.cli import compare, hybrids, lineage, mask, probes, ranking, study, validate  # noqa: F401  (each adds verbs)
    from slr_probe.cli.app import app

    return app

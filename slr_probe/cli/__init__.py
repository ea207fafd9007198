"""The command line, one file for each part of the flow. A leaf that nothing imports."""

from __future__ import annotations

import sys

from slr_probe.cli import hybrids, lineage, mask, probes, ranking, study, validate  # noqa: F401  (each adds its verbs to the application)
from slr_probe.cli.app import app
from slr_probe.errors import SlrProbeError

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line: exit 0 on success, 1 when a check fails, 2 with one clear line on bad input."""
    import os

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        app(prog_name="slr-probe")
    except SlrProbeError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted; nothing half-written was left behind", file=sys.stderr)
        raise SystemExit(130) from None

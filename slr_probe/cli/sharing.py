"""`slr-probe reproduce`: a hybrid built again from its record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from slr_probe.cli.app import app
from slr_probe.cli.options import REPRODUCE, Download, Quiet, Trust, takes


@app.command()
@takes(REPRODUCE, "base tuned base_revision tuned_revision")
def reproduce(
    file: Annotated[Path, typer.Argument(help="recipe.json of a hybrid, or its folder.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to create.", show_default=False)],
    download: Download = False,
    trust: Trust = False,
    quiet: Quiet = False,
    **options: Any,
) -> None:
    """Build a hybrid again from its recipe.json and compare every tensor and file. Exit 1 if any differs.

    Where recipe.json stands alone, the fingerprint of the weights that it recorded is compared.

    Example: slr-probe reproduce hybrid/recipe.json --out again
    """
    from slr_probe.sharing import reproduce as build_again

    options |= {"download": download, "trust_remote_code": trust, "progress": False if quiet else None}
    found = build_again(file, out, **options)
    print(found)
    raise typer.Exit(0 if found.ok else 1)

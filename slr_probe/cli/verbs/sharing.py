"""`slr-probe reproduce`, `publish`: a hybrid on its way to others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slr_probe.cli.app import app
from slr_probe.cli.options import PUBLISH, REPRODUCE, Download, Trust, like, takes

if TYPE_CHECKING:
    from slr_probe.validation import ValidationReport

Measured = Annotated[
    Path | None, typer.Option("--measured", help="report.npz of slr-probe validate: its table goes on the model card.")
]
Private = Annotated[bool, like(PUBLISH, "private", "--private")]


@app.command()
@takes(REPRODUCE, "base tuned base_revision tuned_revision")
def reproduce(
    file: Annotated[Path, typer.Argument(help="recipe.json of a hybrid, or its folder.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to create.", show_default=False)],
    download: Download = False,
    trust: Trust = False,
    **options: Any,
) -> None:
    """Build a hybrid again from its recipe.json and compare every tensor and file. Exit 1 if any differs.

    Where recipe.json stands alone, the fingerprint of the weights that it recorded is compared.

    Example: slr-probe reproduce hybrid/recipe.json --out again
    """
    from slr_probe.sharing import reproduce as build_again

    options |= {"download": download, "trust_remote_code": trust}
    found = build_again(file, out, **options)
    print(found)
    raise typer.Exit(0 if found.ok else 1)


@app.command()
@takes(PUBLISH, "base_id tuned_id")
def publish(
    folder: Annotated[Path, typer.Argument(help="A folder that slr-probe restore wrote.", show_default=False)],
    repo: Annotated[str, typer.Argument(help="ORG/NAME on the Hugging Face hub.", show_default=False)],
    measured: Measured = None,
    private: Private = False,
    **options: Any,
) -> None:
    """Push a hybrid to the Hugging Face hub, with a card that says what was measured and how to make it again.

    The hybrid is compared with its hashes first. Neither card nor record names a folder of this machine: sources that
    are folders need --base-id and --tuned-id. Uses the network, and the token that `hf auth login` left.

    Example: slr-probe publish hybrid org/name --measured validation/report.npz
    """
    push(folder, repo, read_measured(measured), private, **options)


def push(folder: Path, repo: str, report: ValidationReport | None, private: bool, **ids: Any) -> None:
    """Publish a hybrid with the table of a validation, and say where it is."""
    from slr_probe.recipe import Recipe
    from slr_probe.restoration.verify import read_record
    from slr_probe.sharing import publish as publish_hybrid

    table = ""
    if report is not None:
        from slr_probe.show.card import measured

        table = measured(report, Recipe.from_dict(read_record(folder)["recipe"]))
    print(f"published: {publish_hybrid(folder, repo, measured=table, private=private, **ids)}")


def read_measured(file: Path | None) -> ValidationReport | None:
    """The validation that a user named, if any."""
    if file is None:
        return None
    from slr_probe.validation import ValidationReport  # brings torch

    return ValidationReport.load(file)

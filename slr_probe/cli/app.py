"""The application object and the order of its verbs."""

from __future__ import annotations

from typing import Annotated

import typer
from typer.core import TyperGroup

from slr_probe.cli.quiet import Verbs
from slr_probe.version import __version__

VERBS = (
    "run",
    "demo",
    "table",
    "inspect",
    "check-task",
    "delta",
    "lens",
    "patch",
    "mask",
    "rank",
    "restore",
    "verify",
    "reproduce",
    "chat",
    "validate",
    "compare",
    "evaluate",
    "lineage",
    "publish",
    "export",
    "apply",
)
"""In the order in which they are used: all in one go first, then step by step."""


class InOrder(TyperGroup):
    """Verbs are listed in the order in which they are used."""

    def list_commands(self, ctx: object) -> list[str]:
        """Names of the verbs."""
        return list(VERBS)


app = Verbs(
    name="slr-probe",
    cls=InOrder,
    help="Find where in depth post-training destroyed output diversity, and repair it without training.\n\n"
    "BASE and TUNED are checkpoint folders, hub ids (org/name, from the local cache unless --download), the folder of "
    "a LoRA adapter (TUNED only), or what ships with the package: organism:base, organism:sft, organism:dpo, "
    "organism:local.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"slr-probe {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options of the program itself."""

"""`slr-probe evaluate`: lm-eval on hybrids and tuned, compared document by document."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from slr_probe.cli.app import app
from slr_probe.cli.options import EVALUATE, JsonFile, Loading, grouped, like, takes
from slr_probe.cli.output import check_places, write_data
from slr_probe.cli.verbs.compare import read_sources
from slr_probe.errors import ValidationError


@app.command()
@takes(EVALUATE, "include limit fewshot chat batch seed")
@grouped
def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Checkpoints, such as folders of hybrids; NAME=MODEL gives a name.",
            show_default=False,
        ),
    ],
    against: Annotated[
        str, typer.Option(metavar="MODEL", help="The model that they are compared with.", show_default=False)
    ],
    tasks: Annotated[
        str, typer.Option(help="Tasks of lm-eval, with commas: ifeval,gsm8k,truthfulqa_gen.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help=str(like(EVALUATE, "out").help), show_default=False)],
    *,
    loading: Loading,
    json_file: JsonFile = None,
    **options: Any,
) -> None:
    """Run the installed lm-eval on models and compare its scores with those of another, paired by document.

    What lm-eval logs is kept in the folder and not run again. It comes with the extra `harness`.

    Example: slr-probe evaluate hybrid --against org/tuned --tasks ifeval,gsm8k --out results --chat
    """
    from slr_probe.comparison import comparison_folder
    from slr_probe.comparison import evaluate as run

    check_places(out, json_file)
    found = run(
        _named([against, *models]),
        [task.strip() for task in tasks.split(",") if task.strip()],
        out,
        **loading.options,
        **options,
    )
    write_data(found.to_dict(), json_file)
    print(found)
    print(f"wrote {comparison_folder(out, found)}; logs of each model lie in {out}")


def _named(models: list[str]) -> dict[str, str]:
    """Models by the names that they were given, or else the end of a path or hub id (of `organism:dpo`, the stage).

    Raises:
        ValidationError: Two would have the same name.
    """
    given = read_sources(models)
    named = given if isinstance(given, dict) else {re.split("[/:]", one.rstrip("/"))[-1]: one for one in given}
    if len(named) < len(models):
        raise ValidationError("two models end in the same name; give names, such as --against tuned=A hybrid=B")
    return named

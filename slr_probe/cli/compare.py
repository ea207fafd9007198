"""`slr-probe compare`: outputs of several models side by side, saved by whomever."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from slr_probe.cli.app import app
from slr_probe.cli.options import COMPARE, Download, JsonFile, takes
from slr_probe.cli.output import check_places, write_data
from slr_probe.cli.text import (
    EmbedderModel,
    EntailmentModel,
    FluencyModel,
    JudgeModel,
    JudgeUrl,
    KeepThinking,
    Tasks,
    scoring_models,
    task_list,
)
from slr_probe.errors import ValidationError


@app.command()
@takes(COMPARE, "reference vocabulary seed")
def compare(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Files or folders of outputs, the reference first; NAME=FILE gives a name.",
            show_default=False,
        ),
    ],
    tasks: Tasks = None,
    embedder: EmbedderModel = None,
    entailment: EntailmentModel = None,
    fluency: FluencyModel = None,
    judge: JudgeUrl = None,
    judge_model: JudgeModel = None,
    keep_thinking: KeepThinking = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for scores, table, report, figure.")] = None,
    json_file: JsonFile = None,
    download: Download = False,
    **options: Any,
) -> None:
    """Compare what two models or more wrote for the same prompts: every metric with interval and adjusted p.

    Reads JSONL of generate and validate, JSONL with a list of texts for each prompt, sample logs of lm-eval
    (--log_samples) and logs of Inspect (.eval, .json). A file or folder may hold several models. Scores that a log
    brings along are compared too. Loads no model.

    Example: slr-probe compare tuned=tuned.jsonl hybrid=hybrid.jsonl --out comparison
    """
    from slr_probe.comparison import compare as compare_outputs
    from slr_probe.tasks.thinking import THINK

    check_places(out, json_file)
    found = compare_outputs(
        read_sources(sources),
        task_list(tasks),
        tags=() if keep_thinking else (THINK,),
        out=out,
        **options,
        **scoring_models("", embedder, entailment, fluency, judge, judge_model, download),
    )
    print(found)
    write_data(found.to_dict(), json_file)
    if out is not None:
        print(f"wrote {out / 'comparison.npz'}, comparison.json, table.csv, comparison.pdf, comparison.png")


def read_sources(sources: list[str]) -> dict[str, str] | list[str]:
    """Sources by name, or as they name themselves.

    Raises:
        ValidationError: Some have a name and others not, or two have the same.
    """
    named = [source.partition("=") for source in sources]
    if not all(mark for _, mark, _ in named) or any(Path(source).exists() for source in sources):
        if any(mark and not Path(source).exists() for source, (_, mark, _) in zip(sources, named, strict=True)):
            raise ValidationError("give either every source a name, such as tuned=tuned.jsonl, or none")
        return sources
    names = [name for name, _, _ in named]
    if "" in names or len(set(names)) < len(names):
        raise ValidationError(f"each source needs a name of its own; got {', '.join(map(repr, names))}")
    return {name: file for name, _, file in named}

"""`slr-probe delta`, `lens`, `patch`: what changed, what each layer believes, what it causes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from slr_probe.cli.app import app
from slr_probe.cli.options import (
    LENS,
    PATCH,
    Answers,
    Base,
    Download,
    Loading,
    Out,
    PromptFile,
    TaskFile,
    Trust,
    Tuned,
    grouped,
    revisions,
    takes,
)
from slr_probe.cli.output import check_places, print_table, write_data, write_result
from slr_probe.errors import PromptError


@app.command()
@revisions
def delta(
    base: Base,
    tuned: Tuned,
    spectral: Annotated[bool, typer.Option(help="Compute spectral norms and stable ranks.")] = True,
    out: Out = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write one row a matrix to this file.")] = None,
    download: Download = False,
    trust: Trust = False,
) -> None:
    """Measure what post-training changed in every weight matrix. Streams both checkpoints; loads no model.

    Example: slr-probe delta organism:base organism:dpo
    """
    check_places(out, json_file, "weight_delta")
    from slr_probe.probes.weights.measure import weight_delta
    from slr_probe.show.weights import lines

    found = weight_delta(
        base,
        tuned,
        spectral="auto" if spectral else "none",
        download=download,
        trust_remote_code=trust,
    )
    write_data(found.rows(), json_file)
    written = write_result(found, out, "weight_delta")
    print(found)
    print_table(*lines(found))
    for note in found.notes:
        print(f"note: {note}")
    print(written, end="")


@app.command()
@revisions
@takes(LENS, "seed")
@grouped
def lens(
    base: Base,
    tuned: Tuned,
    prompts: PromptFile = None,
    task: TaskFile = "crc",
    answer: Answers = None,
    hybrid: Annotated[list[str] | None, typer.Option(help="Also read this hybrid: START:STOP set to base.")] = None,
    out: Out = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write a row a model and block here.")] = None,
    *,
    loading: Loading,
    **options: Any,
) -> None:
    """Read what every block already believes (logit lens): entropy over depth, and where it collapses.

    Example: slr-probe lens organism:base organism:dpo
    """
    check_places(out, json_file, "lens")
    from slr_probe.probes.lens.lens import logit_lens
    from slr_probe.show.lens import lines

    pair = loading.pair(base, tuned)
    questions = read_questions(prompts, task)
    found = logit_lens(pair, questions, answers=answer, recipes=hybrid or (), **options)
    write_data(found.rows(), json_file)
    written = write_result(found, out, "lens")
    print(found)
    print_table(*lines(found))
    print(written, end="")


@app.command()
@revisions
@takes(PATCH, "direction components blocks window positions controls seed", components="--component")
@grouped
def patch(
    base: Base,
    tuned: Tuned,
    prompts: PromptFile = None,
    task: TaskFile = "crc",
    answer: Answers = None,
    out: Out = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write a row a patch and metric here.")] = None,
    *,
    loading: Loading,
    **options: Any,
) -> None:
    """Patch activations of one model into the other: which blocks restore diversity, and which collapse it.

    Example: slr-probe patch organism:base organism:dpo --component mlp
    """
    check_places(out, json_file, "patching")
    from slr_probe.probes.patching.patch import patch_activations
    from slr_probe.show.patching import lines

    pair = loading.pair(base, tuned)
    questions = read_questions(prompts, task)
    found = patch_activations(pair, questions, answers=answer, **options)
    write_data(found.rows(), json_file)
    written = write_result(found, out, "patching")
    print(found)
    print_table(*lines(found))
    print(written, end="")


def read_questions(prompts: Path | None, task: str) -> Any:
    """Prompts of a file, or the part of a task on which ranges are chosen."""
    from slr_probe.forward.questions import read_prompts
    from slr_probe.tasks.crc import CRCTask

    if prompts is not None:
        if task != "crc":
            raise PromptError("give either --prompts FILE or --task FILE: a task brings its own prompts")
        return read_prompts(prompts)
    return (CRCTask.default() if task == "crc" else CRCTask.load(task)).selection

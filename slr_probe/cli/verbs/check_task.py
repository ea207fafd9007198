"""`slr-probe check-task`: what a file of prompts holds, before anything is run on it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from slr_probe.cli.app import app
from slr_probe.cli.options import Download, Trust
from slr_probe.errors import TaskError

if TYPE_CHECKING:
    from slr_probe.tasks import CRCTask, TextTask

_CRC, _TEXT = "questions with answer sets (rank --task)", "prompts for text (validate --tasks)"


@app.command(name="check-task")
def check_task(
    file: Annotated[Path, typer.Argument(help="File of prompts, JSON or JSONL.", show_default=False)],
    model: Annotated[str | None, typer.Option(help="Checkpoint whose tokenizer is to put them.")] = None,
    format: Annotated[
        Literal["chat", "plain"] | None, typer.Option(help="Default: chat where there is a chat template.")
    ] = None,
    show: Annotated[int, typer.Option(min=0, help="How many rendered prompts to print.")] = 3,
    download: Download = False,
    trust: Trust = False,
) -> None:
    """Say what a file of prompts is, count them, and with --model show them as the model reads them.

    A file may be good for both kinds of task. Exits with 2 where it is good for neither, with 1 where the tokenizer
    cannot put a prompt.

    Example: slr-probe check-task mine.jsonl --model organism:dpo
    """
    from slr_probe.pair import ModelPair
    from slr_probe.tasks.fit import fit_of

    found, faults = _read(file)
    if not found:
        raise TaskError(f"{file} holds no task. As {_CRC}: {faults[_CRC]}. As {_TEXT}: {faults[_TEXT]}")
    for what, task in found.items():
        print(f"{file}: {len(task.items)} {what}: {_counts(task)}")
    for what, fault in faults.items():
        print(f"  not {what}: {fault}")
    if model is None:
        return
    pair = ModelPair.load(model, model, download=download, trust_remote_code=trust)
    refused = 0
    for what, task in found.items():
        fits = fit_of(task, pair, format)
        unfit = [fit.refused for fit in fits if fit.refused]
        print(f"\n{what}, with the tokenizer of {model}:")
        for fit in fits[:show]:
            print(f"  {fit.tokens:4} tokens  {fit.rendered!r}")
        for fault in unfit:
            print(f"  refused: {fault}")
        later = sum(not fit.next_token and not fit.refused for fit in fits)
        left_out = f"; {later} left out by lens and patch, which read the next token only" if what == _CRC else ""
        print(f"  {len(fits)} prompts, {len(unfit)} refused{left_out}")
        refused += len(unfit)
    if refused:
        raise typer.Exit(1)


def _read(file: Path) -> tuple[dict[str, CRCTask | TextTask], dict[str, str]]:
    """The tasks that the file is good for, and why it is not for the others."""
    from slr_probe.tasks import CRCTask, read_task

    found: dict[str, CRCTask | TextTask] = {}
    faults: dict[str, str] = {}
    for what, read in ((_CRC, CRCTask.load), (_TEXT, read_task)):
        try:
            found[what] = read(file)
        except TaskError as error:
            faults[what] = str(error)
    return found, faults


def _counts(task: CRCTask | TextTask) -> str:
    """How many prompts of each kind there are."""
    from slr_probe.tasks import CRCTask

    if isinstance(task, CRCTask):
        labels = [f"{item.split.replace('_', '-')} {item.category}" for item in task.items]
    else:
        labels = [
            f"{item.kind or 'prompts'}{f' with check {item.check}' if item.answers else ''}" for item in task.items
        ]
    return ", ".join(f"{count} {label}" for label, count in Counter(labels).items())

"""`slr-probe run`, `slr-probe demo`: the whole investigation, and its report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from slr_probe.cli.app import Base, Device, Download, Quiet, Trust, Tuned, app
from slr_probe.errors import StudyError

Only = Annotated[str | None, typer.Option("--only", help="Run this stage alone, again if it was done.")]
From = Annotated[str | None, typer.Option("--from", help="Run this stage and all after it again.")]
Force = Annotated[bool, typer.Option("--force", help="Run again what was done.")]
SettingsFile = Annotated[Path | None, typer.Option("--settings", help="Settings (TOML); see settings.toml of any run.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="One setting, such as rank.floor=0.8; repeatable.")]

_STAGES = (
    "Stages: inspect, delta, lens, patching, rank, restore, verify, validate, report. Each keeps its result (npz, csv, "
    "pdf, png) in its own folder under DIR and is not run again until its settings or the checkpoints change; after a "
    "kill the same command goes on where it was."
)


@app.command(
    name="run",
    help="Investigate a pair from headers to report: what changed, where diversity collapses, which range to restore, "
    "the hybrid itself, what it writes, and one HTML file that shows it.\n\n"
    f"{_STAGES}\n\n"
    "Presets: --quick (a first look: 20 prompts for the choice, little text), the default, --full (everything). Single "
    "settings: --set rank.floor=0.8, or a TOML file with --settings; DIR/settings.toml shows them all.\n\n"
    "Example: slr-probe run google/gemma-3-270m google/gemma-3-270m-it --quick --out study",
)
def run(
    base: Base,
    tuned: Tuned,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the study.", show_default=False)],
    quick: Annotated[bool, typer.Option("--quick", help="A first look: fewer prompts, little text.")] = False,
    full: Annotated[bool, typer.Option("--full", help="All prompts, all baselines.")] = False,
    settings: SettingsFile = None,
    set_: Set = None,
    only: Only = None,
    start: From = None,
    force: Force = False,
    device: Device = None,
    download: Download = False,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """See the help above."""
    if quick and full:
        raise StudyError("give --quick or --full, not both")
    preset = "quick" if quick else "full" if full else None
    _study(base, tuned, out, preset, settings, set_, only=only, start=start, force=force, device=device,
           download=download, trust_remote_code=trust, progress=False if quiet else None)  # fmt: skip


@app.command(
    name="demo",
    help="The whole investigation on the tiny pair that ships with the package: no download, no GPU, under two "
    f"minutes.\n\n{_STAGES}\n\nExample: slr-probe demo --out demo",
)
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the study.")] = Path("slr-probe-demo"),
    tuned: Annotated[str, typer.Option(help="organism:dpo or organism:sft.")] = "organism:dpo",
    settings: SettingsFile = None,
    set_: Set = None,
    only: Only = None,
    start: From = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """See the help above."""
    _study("organism:base", tuned, out, "demo", settings, set_, only=only, start=start, force=force,
           progress=False if quiet else None)  # fmt: skip


def _study(base: str, tuned: str, out: Path, preset: str | None, file: Path | None, single: list[str] | None,
           **options: Any) -> None:  # fmt: skip
    import time

    from slr_probe.study import run_study

    chosen = _settings(preset, file, single or [])
    _silence()
    began = time.perf_counter()
    heading = [f"{base} and {tuned}, into {out}"]

    def say(line: str) -> None:
        while heading:  # only now: the folders were checked
            print(heading.pop())
        print(line, flush=True)

    found = run_study(base, tuned, out, chosen, say=say, **options)
    _summary(found, time.perf_counter() - began)


def _silence() -> None:
    """No bars of transformers between our lines."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def _settings(preset: str | None, file: Path | None, single: list[str]) -> Any:
    """Preset, then file, then single settings; each overrules what stands before it."""
    from slr_probe.study import Settings
    from slr_probe.study.toml import read_toml, read_value

    data = read_toml(file) if file is not None else {}
    named = data.pop("preset", None)
    chosen = Settings.preset(preset or str(named or "standard")).override(data)
    for text in single:
        name, equals, value = text.partition("=")
        table, dot, key = name.strip().partition(".")
        if not equals or not dot:
            raise StudyError(f"--set {text!r} is not TABLE.KEY=VALUE, such as rank.floor=0.8")
        chosen = chosen.override({table: {key: read_value(value)}})
    return chosen


def _summary(found: Any, seconds: float) -> None:
    from textwrap import fill

    from slr_probe.study.report.page import verdict

    print()
    if found.ranking is not None:
        for line in verdict(found):
            print(fill(line, 100, initial_indent="- ", subsequent_indent="  "))
        print()
    if found.hybrid is not None:
        print(f"hybrid   {found.hybrid}")
    if found.report.is_file():
        print(f"report   {found.report}")
    print(f"time     {seconds:.0f} s")

"""`slr-probe run`, `demo`, `table`: the whole investigation and its report, of one pair or of many."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from slr_probe.cli.app import app
from slr_probe.cli.options import STUDY, TABLE, Base, Device, Download, Trust, Tuned, revisions, takes
from slr_probe.cli.output import check_places, silence
from slr_probe.errors import StudyError

Folder = Annotated[Path, typer.Option("--out", "-o", help="Folder of the study.")]
SettingsFile = Annotated[Path | None, typer.Option("--settings", help="Settings (TOML); see settings.toml of any run.")]
Change = Annotated[list[str] | None, typer.Option("--set", help="One setting, such as rank.floor=0.8; repeatable.")]

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
@revisions
@takes(STUDY, "only start force executor", start="--from", force="--force")
def run(
    base: Base,
    tuned: Tuned,
    out: Folder,
    quick: Annotated[bool, typer.Option("--quick", help="A first look: fewer prompts, little text.")] = False,
    full: Annotated[bool, typer.Option("--full", help="All prompts, all baselines.")] = False,
    settings: SettingsFile = None,
    change: Change = None,
    device: Device = None,
    download: Download = False,
    trust: Trust = False,
    **options: Any,
) -> None:
    """See the help above."""
    _check_folder(out)
    opened = {"device": device, "download": download, "trust_remote_code": trust}
    _study(base, tuned, out, _settings(_preset(quick, full), settings, change or []), **opened, **options)


@app.command(
    name="table",
    help="Investigate many pairs, one after the other, each as run does and in a folder of its own (DIR/studies/NAME), "
    "and make one table and figure over all of them: where in depth the best range lies, what it brings, what the "
    "guards exclude, and which cheap method would have found it. A pair that fails is a row with its reason; the same "
    "command goes on and tries it again.\n\n"
    'PAIRS.toml lists pairs: [[pair]], then name = "...", base = "..." and tuned = "...". A stage of post-training is '
    "a pair of its own.\n\n"
    "Example: slr-probe table pairs.toml --quick --out table",
)
@takes(TABLE, "executor")
def table(
    pairs: Annotated[Path, typer.Argument(metavar="PAIRS.toml", help="File that lists the pairs.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the studies, the table and the figure.")],
    quick: Annotated[bool, typer.Option("--quick", help="A first look: fewer prompts, little text.")] = False,
    full: Annotated[bool, typer.Option("--full", help="All prompts, all baselines.")] = False,
    settings: SettingsFile = None,
    change: Change = None,
    device: Device = None,
    download: Download = False,
    trust: Trust = False,
    **options: Any,
) -> None:
    """See the help above."""
    from slr_probe.study.place import check_home

    check_places(out, None)
    check_home(out.expanduser())
    from slr_probe.study.many import read_pairs, run_table

    silence()
    asked = read_pairs(pairs), out, _settings(_preset(quick, full), settings, change or [])
    options |= {"device": device, "download": download, "trust_remote_code": trust}
    found = run_table(*asked, say=partial(print, flush=True), **options)
    print(f"\n{found}\n\ntable    {out / 'table.csv'}\nfigure   {out / 'table.pdf'}")
    if not any(row.get("depth") for row in found.rows):
        raise StudyError(f"no pair of {pairs} could be studied; the table says why")


def _check_folder(out: Path) -> None:
    """Refuse a folder of something else before torch is loaded.

    Raises:
        StudyError: It holds no study.
    """
    from slr_probe.study.place import study_store

    study_store(out.expanduser()).refuse_foreign()


def _preset(quick: bool, full: bool) -> str | None:
    if quick and full:
        raise StudyError("give --quick or --full, not both")
    return "quick" if quick else "full" if full else None


@app.command(
    name="demo",
    help="The whole investigation on a tiny pair that ships with the package: no download, no GPU, under two minutes "
    "on one idle core. The pair was made to show the tool: its collapse was put into a few blocks, and the demo ends "
    f"with which these are and which were found.\n\n{_STAGES}\n\nExample: slr-probe demo --out demo",
)
@takes(STUDY, "only start force", start="--from", force="--force")
def demo(
    out: Folder = Path("slr-probe-demo"),
    tuned: Annotated[
        str, typer.Option(help="organism:local; or organism:dpo, organism:sft, trained as models usually are.")
    ] = "organism:local",
    settings: SettingsFile = None,
    change: Change = None,
    **options: Any,
) -> None:
    """See the help above."""
    _check_folder(out)
    preset = "local" if tuned == "organism:local" else "demo"
    _study("organism:base", tuned, out, _settings(preset, settings, change or []), **options)


def _study(base: str, tuned: str, out: Path, settings: Any, **options: Any) -> None:
    import time

    from tqdm import tqdm

    from slr_probe.study import run_study

    silence()
    began = time.perf_counter()
    heading = [f"{base} and {tuned}, into {out}"]

    def say(line: str) -> None:
        while heading:  # only now: the folders were checked
            tqdm.write(heading.pop())
        tqdm.write(line)  # above the line of progress
        sys.stdout.flush()

    found = run_study(base, tuned, out, settings, say=say, **options)
    _summary(found, time.perf_counter() - began)


def _settings(preset: str | None, file: Path | None, changes: list[str]) -> Any:
    """Preset, then file, then single settings; each overrules what stands before it."""
    from slr_probe.study import Settings
    from slr_probe.study.toml import read_change, read_toml

    data = read_toml(file) if file is not None else {}
    named = data.pop("preset", None)
    settings = Settings.preset(preset or str(named or "standard")).override(data)
    for change in changes:
        settings = settings.override(read_change(change))
    return settings


def _summary(found: Any, seconds: float) -> None:
    from textwrap import fill

    from slr_probe.show.words.unmeasured import not_measured
    from slr_probe.study.report.page import plain_verdict
    from slr_probe.study.report.truth import truth
    from slr_probe.study.report.unmeasured import unmeasured

    print()
    if found.ranking is not None:
        for line in (*plain_verdict(found), *not_measured(unmeasured(found)), *truth(found)):
            print(fill(line, 100, break_on_hyphens=False))
        print()
    if found.hybrid is not None:
        print(f"hybrid   {found.hybrid}")
    if found.report.is_file():
        print(f"report   {found.report}")
    print(f"time     {seconds:.0f} s")

"""`slr-probe delta`, `lens`, `patch`: what changed, what each layer believes, what it causes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from slr_probe.cli.app import (
    Answers,
    Base,
    Device,
    Download,
    Dtype,
    Prompts,
    Quiet,
    Seed,
    TaskFile,
    Trust,
    Tuned,
    app,
)
from slr_probe.cli.output import check_places, print_table, show
from slr_probe.errors import PromptError
from slr_probe.files import write_json


@app.command()
def delta(
    base: Base,
    tuned: Tuned,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the result and its figure.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write one row a matrix to this file.")] = None,
    spectral: Annotated[bool, typer.Option(help="Compute spectral norms and stable ranks.")] = True,
    download: Download = False,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """Measure what post-training changed in every weight matrix. Streams both checkpoints; loads no model.

    Example: slr-probe delta organism:base organism:dpo
    """
    from slr_probe.files import save_figure
    from slr_probe.probes.weights.measure import weight_delta
    from slr_probe.show.weights import lines

    check_places(out, json_file)
    found = weight_delta(base, tuned, spectral="auto" if spectral else "none", download=download,
                         trust_remote_code=trust, progress=False if quiet else None)  # fmt: skip
    print(found)
    print_table(*lines(found))
    for note in found.notes:
        print(f"note: {note}")
    if json_file is not None:
        write_json(json_file, found.rows())
    if out is not None:
        files = [found.save(out / "weight_delta.npz"), *save_figure(found.plot(), out / "weight_delta")]
        print("wrote " + ", ".join(map(str, files)))


@app.command()
def lens(
    base: Base,
    tuned: Tuned,
    prompts: Prompts = None,
    task: TaskFile = "crc",
    answer: Answers = None,
    hybrid: Annotated[list[str] | None, typer.Option(help="Also read this hybrid: START:STOP set to base.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the result and its figure.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write a row a model and block here.")] = None,
    dtype: Dtype = None,
    device: Device = None,
    seed: Seed = 0,
    download: Download = False,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """Read what every block already believes (logit lens): entropy over depth, and where it collapses.

    Example: slr-probe lens organism:base organism:dpo
    """
    from slr_probe.pair import ModelPair
    from slr_probe.probes.lens.lens import logit_lens
    from slr_probe.show.lens import lines

    check_places(out, json_file)
    pair = ModelPair.load(base, tuned, dtype=dtype, device=device, download=download, trust_remote_code=trust)
    found = logit_lens(pair, asked(prompts, task), answers=answer, recipes=hybrid or (), seed=seed,
                       progress=False if quiet else None)  # fmt: skip
    show(found, lines(found), json_file, out, "lens")


@app.command()
def patch(
    base: Base,
    tuned: Tuned,
    prompts: Prompts = None,
    task: TaskFile = "crc",
    answer: Answers = None,
    direction: Annotated[str, typer.Option(help="both, base->tuned (restores diversity) or tuned->base.")] = "both",
    component: Annotated[list[str] | None, typer.Option(help="resid, attn or mlp.", show_default="all")] = None,
    blocks: Annotated[
        list[str] | None, typer.Option(help="Only this block or START:STOP.", show_default="each")
    ] = None,
    window: Annotated[int, typer.Option(help="Width of the windows of blocks that are patched together.")] = 1,
    positions: Annotated[str, typer.Option(help="answer or all.")] = "answer",
    controls: Annotated[bool, typer.Option(help="Also patch random directions, and models with themselves.")] = True,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the result and its figure.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write a row a patch and metric here.")] = None,
    dtype: Dtype = None,
    device: Device = None,
    seed: Seed = 0,
    download: Download = False,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """Patch activations of one model into the other: which blocks restore diversity, and which collapse it.

    Example: slr-probe patch organism:base organism:dpo --component mlp
    """
    from slr_probe.pair import ModelPair
    from slr_probe.probes.patching.patch import patch_activations
    from slr_probe.show.patching import lines

    check_places(out, json_file)
    pair = ModelPair.load(base, tuned, dtype=dtype, device=device, download=download, trust_remote_code=trust)
    found = patch_activations(
        pair, asked(prompts, task), answers=answer, direction=direction,  # type: ignore[arg-type]
        components=component or ("resid", "attn", "mlp"), blocks=blocks, window=window,  # type: ignore[arg-type]
        positions=positions, controls=controls, seed=seed, progress=False if quiet else None,  # type: ignore[arg-type]
    )  # fmt: skip
    show(found, lines(found), json_file, out, "patching")


def asked(prompts: Path | None, task: str) -> Any:
    """Prompts of a file, or the part of a task on which ranges are chosen."""
    from slr_probe.forward.questions import read_prompts
    from slr_probe.tasks.crc import CRCTask

    if prompts is not None:
        if task != "crc":
            raise PromptError("give either --prompts FILE or --task FILE: a task brings its own prompts")
        return read_prompts(prompts)
    return (CRCTask.default() if task == "crc" else CRCTask.load(task)).selection

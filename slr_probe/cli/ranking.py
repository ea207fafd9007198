"""`slr-probe rank`: which range to restore."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slr_probe.cli.app import Base, Download, JsonFile, Quiet, Trust, Tuned, app
from slr_probe.cli.output import check_places, print_table
from slr_probe.files import write_json

if TYPE_CHECKING:
    from slr_probe.rank.compare import Choice


@app.command()
def rank(
    base: Base,
    tuned: Tuned,
    method: Annotated[
        str,
        typer.Option(
            help="sweep measures every range; guided, patching, attribution, entropy, delta, mask are cheaper."
        ),
    ] = "sweep",
    floor: Annotated[float, typer.Option(help="Share of tuned's validity that a range must keep.")] = 0.9,
    task: Annotated[Path | None, typer.Option(help="Prompts of your own (JSON) instead of the built-in ones.")] = None,
    scorer: Annotated[str, typer.Option(help="Which cheap method proposes, for guided.")] = "attribution",
    proposals: Annotated[int, typer.Option(help="How many ranges guided measures.")] = 32,
    soups: Annotated[bool, typer.Option(help="Also measure the 21 uniform interpolations.")] = True,
    temperature: Annotated[float, typer.Option(help="Temperature of the distributions.")] = 1.0,
    min_p: Annotated[float, typer.Option(help="Min-p of the distributions.")] = 0.0,
    memory: Annotated[str, typer.Option(help="What the sweep may use.")] = "4GB",
    stream: Annotated[bool | None, typer.Option(help="Read weights block by block.", show_default="if needed")] = None,
    dtype: Annotated[str | None, typer.Option(help="Dtype to compute in.", show_default="as stored")] = None,
    device: Annotated[str | None, typer.Option(help="Device.", show_default="CUDA if there is one")] = None,
    seed: Annotated[int, typer.Option(help="Seed of bootstrap and random controls.")] = 0,
    top: Annotated[int, typer.Option(min=1, help="How many ranges to print.")] = 10,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for result, figure and restart.")] = None,
    json_file: JsonFile = None,
    download: Download = False,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """Propose the range of blocks to restore: most diversity among those that keep enough validity.

    Example: slr-probe rank organism:base organism:dpo
    """
    from slr_probe.files import save_figure
    from slr_probe.pair import ModelPair
    from slr_probe.rank import rank_layers
    from slr_probe.show import ranking as shown

    check_places(out, json_file)
    pair = ModelPair.load(base, tuned, dtype=dtype, device=device, download=download, trust_remote_code=trust)
    found = rank_layers(
        pair, task, method, floor, scorer=scorer, proposals=proposals, soups=soups, temperature=temperature,
        min_p=min_p, memory=memory, stream=stream, seed=seed, out=None if out is None else out / "sweeps",
        progress=False if quiet else None,
    )  # fmt: skip
    print(found)
    print_table(*shown.lines(found, top))
    print(_advice(found.choice, base, tuned))
    if json_file is not None:
        write_json(json_file, found.to_dict())
    if out is not None:
        files = [found.save(out / "ranking.npz"), *save_figure(found.plot(), out / "ranking")]
        print("wrote " + ", ".join(map(str, files)))


def _advice(choice: Choice, base: str, tuned: str) -> str:
    """The command that restores what was chosen, or that there is nothing to restore."""
    if choice.layers is None:
        return f"nothing to restore: {choice.why}"
    doubt = "" if choice.confirmed else " (its gain is not confirmed)"
    return f"restore it{doubt}:  slr-probe restore {base} {tuned} --layers {choice.layers} --out hybrid"

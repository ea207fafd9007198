"""The command line: `slr-probe inspect`, `restore`, `verify`, `delta`, `rank`. A leaf that nothing imports."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from slr_probe.errors import RecipeError, SlrProbeError

app = typer.Typer(
    name="slr-probe",
    help="Find where in depth post-training destroyed output diversity, and repair it without training.\n\n"
    "BASE and TUNED are checkpoint folders, hub ids (org/name, from the local cache unless --download), the folder of "
    "a LoRA adapter (TUNED only), or the pair that ships with the package: organism:base, organism:sft, organism:dpo.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Untouched = Literal["auto", "hardlink", "copy"]
Base = Annotated[str, typer.Argument(help="Pre-trained checkpoint.", show_default=False)]
Tuned = Annotated[str, typer.Argument(help="Post-trained checkpoint of the same architecture.", show_default=False)]
Download = Annotated[bool, typer.Option("--download", help="Let hub ids be fetched over the network.")]
Trust = Annotated[bool, typer.Option("--trust-remote-code", help="Let a checkpoint's own Python code run.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Also write the result to this JSON file.")]


@app.command()
def inspect(base: Base, tuned: Tuned, download: Download = False, trust: Trust = False, out: JsonFile = None) -> None:
    """Compare two checkpoints: do they fit, how do their configs differ, what are their blocks?

    Reads configs, tokenizers and tensor headers; no weights.

    Example: slr-probe inspect organism:base organism:dpo
    """
    from slr_probe.pair import ModelPair

    pair = ModelPair.load(base, tuned, device="cpu", download=download, trust_remote_code=trust)
    table = pair.to_dataframe()
    print(pair)
    _print_table(table.columns.tolist(), [[f"{v:,}" if isinstance(v, int) else v for v in row]
                                          for row in table.astype(object).values.tolist()])  # fmt: skip
    if out is not None:
        data = {"base": base, "tuned": tuned, "depth": pair.depth, "notes": list(pair.notes)}
        _write_json(out, {**data, "blocks": table.to_dict(orient="records")})


@app.command()
def restore(
    base: Base,
    tuned: Tuned,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to create.", show_default=False)],
    layers: Annotated[
        str | None, typer.Option("--layers", "-l", help="Blocks to set back to base: START:STOP, stop exclusive.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Only this part of those blocks: attention, mlp, q, down, ...")
    ] = None,
    recipe: Annotated[Path | None, typer.Option("--recipe", help="A recipe file (JSON) instead of --layers.")] = None,
    untouched: Annotated[
        Untouched,
        typer.Option("--untouched", help="Shards with only tuned tensors: auto (clone or copy), hardlink, copy."),
    ] = "auto",
    check_finite: Annotated[bool, typer.Option(help="Check all weights for NaN and infinity on the way.")] = True,
    download: Download = False,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """Write the hybrid: the tuned model with a range of blocks set back to base weights. No training, no GPU.

    The folder is complete (config, weights, tokenizer, chat template, model card) and loads wherever the tuned model
    does. It appears only when it is whole; after a kill, the same command goes on where it was.

    Example: slr-probe restore organism:base organism:dpo --layers 2:4 --out hybrid
    """
    from slr_probe.restoration import restore as restore_on_disk
    from slr_probe.side import open_sides

    if (layers is None) == (recipe is None):
        raise RecipeError("give either --layers START:STOP or --recipe FILE")
    chosen: Any = layers
    if recipe is not None:
        chosen = _read_recipe(recipe)
    elif only:
        from slr_probe.recipe import Recipe

        depth = open_sides(base, tuned, download=download, trust_remote_code=trust)[1].depth
        chosen = Recipe.restore(layers or "", depth, only=only)
    folder = restore_on_disk(
        base,
        tuned,
        chosen,
        out,
        untouched=untouched,
        check_finite=check_finite,
        download=download,
        trust_remote_code=trust,
        progress=False if quiet else None,
    )
    print(f"{folder}: {json.loads((folder / 'recipe.json').read_text())['recipe']['name']}")
    print(f"check it:  slr-probe verify {folder}")


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="A folder that slr-probe restore wrote.", show_default=False)],
    base: Annotated[str | None, typer.Option(help="Where base is now, if it was moved.")] = None,
    tuned: Annotated[str | None, typer.Option(help="Where tuned is now, if it was moved.")] = None,
    download: Download = False,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """Compare every tensor of a hybrid, bit for bit, with the source that its recipe names. Exit 1 if any differs.

    Example: slr-probe verify hybrid
    """
    from slr_probe.restoration import verify_hybrid

    progress = False if quiet else None
    report = verify_hybrid(
        folder, base=base, tuned=tuned, download=download, trust_remote_code=trust, progress=progress
    )
    print(report)
    raise typer.Exit(0 if report.ok else 1)


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
    from slr_probe.probes.weights import weight_delta
    from slr_probe.results import save_figure

    found = weight_delta(base, tuned, spectral="auto" if spectral else "none", download=download,
                         trust_remote_code=trust, progress=False if quiet else None)  # fmt: skip
    groups = found.to_dataframe(by="group")
    table = found.to_dataframe(by="block")
    for group in ("attention", "mlp"):
        ratio = groups[groups["group"] == group].set_index("block")["relative"]
        table[group] = table["block"].map(ratio)
    columns = ["delta_norm", "base_norm", "relative", "attention", "mlp", "spectral_norm", "changed"]
    print(found)
    _print_table(["block", *columns], [[int(row["block"]), *(f"{row[key]:.4g}" for key in columns)]
                                       for row in table.to_dict(orient="records")])  # fmt: skip
    for note in found.notes:
        print(f"note: {note}")
    if json_file is not None:
        _write_json(json_file, found.rows())
    if out is not None:
        files = [found.save(out / "weight_delta.npz"), *save_figure(found.plot(), out / "weight_delta")]
        print("wrote " + ", ".join(map(str, files)))


@app.command()
def rank(
    base: Base,
    tuned: Tuned,
    method: Annotated[
        str, typer.Option(help="sweep measures every range; guided, patching, attribution, entropy, delta are cheaper.")
    ] = "sweep",
    floor: Annotated[float, typer.Option(help="Share of tuned's validity that a range must keep.")] = 0.9,
    task: Annotated[Path | None, typer.Option(help="Prompts of your own (JSON) instead of the built-in ones.")] = None,
    scorer: Annotated[str, typer.Option(help="Which cheap method proposes, for guided.")] = "patching",
    proposals: Annotated[int, typer.Option(help="How many ranges guided measures.")] = 32,
    temperature: Annotated[float, typer.Option(help="Temperature of the distributions.")] = 1.0,
    min_p: Annotated[float, typer.Option(help="Min-p of the distributions.")] = 0.0,
    memory: Annotated[str, typer.Option(help="What the sweep may use.")] = "4GB",
    stream: Annotated[bool | None, typer.Option(help="Read weights block by block.", show_default="if needed")] = None,
    dtype: Annotated[str | None, typer.Option(help="Dtype to compute in.", show_default="as stored")] = None,
    device: Annotated[str | None, typer.Option(help="Device.", show_default="CUDA if there is one")] = None,
    seed: Annotated[int, typer.Option(help="Seed of bootstrap and random controls.")] = 0,
    top: Annotated[int, typer.Option(help="How many ranges to print.")] = 10,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for result, figure and restart.")] = None,
    json_file: JsonFile = None,
    download: Download = False,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """Propose the range of blocks to restore: most diversity among those that keep enough validity.

    Example: slr-probe rank organism:base organism:dpo
    """
    from slr_probe.pair import ModelPair
    from slr_probe.rank import rank_layers, summary
    from slr_probe.results import save_figure

    pair = ModelPair.load(base, tuned, dtype=dtype, device=device, download=download, trust_remote_code=trust)
    found = rank_layers(
        pair, task, method, floor, scorer=scorer, proposals=proposals, temperature=temperature, min_p=min_p,
        memory=memory, stream=stream, seed=seed, out=None if out is None else out / "sweeps",
        progress=False if quiet else None,
    )  # fmt: skip
    print(found)
    _print_table(*summary.lines(found, top))
    print(f"restore it:  slr-probe restore {base} {tuned} --layers {found.best} --out hybrid")
    if json_file is not None:
        _write_json(json_file, found.to_dict())
    if out is not None:
        files = [found.save(out / "ranking.npz"), *save_figure(found.plot(), out / "ranking")]
        print("wrote " + ", ".join(map(str, files)))


def main() -> None:
    """Run the command line: exit 0 on success, 1 when a check fails, 2 with one clear line on bad input."""
    import os

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        app()
    except SlrProbeError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted; nothing half-written was left behind", file=sys.stderr)
        raise SystemExit(130) from None


def _read_recipe(path: Path) -> Any:
    from slr_probe.recipe import Recipe

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read the recipe file {path}: {error}") from error
    return Recipe.from_json(text)


def _write_json(path: Path, data: Any) -> None:
    try:
        path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise SlrProbeError(f"cannot write {path}: {error.strerror}") from error


def _print_table(columns: list[str], rows: list[list[Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(str(column), justify="left" if i == 1 else "right")
    for row in rows:
        table.add_row(*map(str, row))
    Console().print(table)

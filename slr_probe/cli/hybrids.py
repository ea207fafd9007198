"""`slr-probe inspect`, `restore`, `verify`: pairs and hybrids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from slr_probe.cli.app import Base, Download, JsonFile, Quiet, Trust, Tuned, app
from slr_probe.cli.output import print_table
from slr_probe.errors import RecipeError
from slr_probe.files import write_json

Untouched = Literal["auto", "hardlink", "copy"]


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
    print_table(table.columns.tolist(), [[f"{v:,}" if isinstance(v, int) else v for v in row]
                                          for row in table.astype(object).values.tolist()])  # fmt: skip
    if out is not None:
        data = {"base": base, "tuned": tuned, "depth": pair.depth, "notes": list(pair.notes)}
        write_json(out, {**data, "blocks": table.to_dict(orient="records")})


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
    from slr_probe.pair.side import open_sides
    from slr_probe.restoration import restore as restore_on_disk

    if (layers is None) == (recipe is None):
        raise RecipeError("give either --layers START:STOP or --recipe FILE")
    if recipe is not None and only:
        raise RecipeError("--only narrows --layers; a recipe file says itself which parts it restores")
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


def _read_recipe(path: Path) -> Any:
    from slr_probe.recipe import Recipe

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read the recipe file {path}: {error}") from error
    return Recipe.from_json(text)

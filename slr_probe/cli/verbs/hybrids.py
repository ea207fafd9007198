"""`slr-probe inspect`, `restore`, `export`, `apply`, `verify`: pairs and hybrids."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slr_probe.cli.app import app
from slr_probe.cli.options import (
    APPLY_PATCH,
    RESTORE,
    SAVE_PATCH,
    VERIFY,
    Base,
    Download,
    JsonFile,
    Trust,
    Tuned,
    grouped,
    like,
    revisions,
    takes,
)
from slr_probe.cli.output import check_file, check_places, print_table, write_data
from slr_probe.cli.verbs.sharing import Measured, Private, read_measured
from slr_probe.cli.verbs.sharing import push as publish_folder
from slr_probe.errors import RecipeError

if TYPE_CHECKING:
    from slr_probe.recipe import Recipe
    from slr_probe.validation import ValidationReport


@app.command()
@revisions
def inspect(
    base: Base,
    tuned: Tuned,
    json_file: JsonFile = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Also write the table to this CSV file.")] = None,
    download: Download = False,
    trust: Trust = False,
) -> None:
    """Compare two checkpoints: do they fit, how do their configs differ, what are their blocks?

    Ends with whether they fit, may be swapped, or are one checkpoint twice; what does not fit is an error that says
    why. Reads configs, tokenizers, tensor headers and both ends of every tensor.

    Example: slr-probe inspect organism:base organism:dpo
    """
    from slr_probe.files import write_text
    from slr_probe.pair import ModelPair
    from slr_probe.pair.notes import verdict

    check_places(None, json_file)
    if csv_file is not None:
        check_file("--csv", csv_file)
    pair = ModelPair.load(base, tuned, device="cpu", download=download, trust_remote_code=trust)
    blocks = pair.to_dataframe().astype(object)
    rows = []
    for block in blocks.values.tolist():
        rows.append([f"{value:,}" if isinstance(value, int) else value for value in block])
    print(pair)
    print_table(blocks.columns.tolist(), rows)
    if csv_file is not None:
        write_text(csv_file, blocks.to_csv(index=False))
    said = verdict(pair.base_side, pair.tuned_side, pair.notes)
    print(f"\n{said}")
    data = {"base": base, "tuned": tuned, "depth": pair.depth, "notes": list(pair.notes), "verdict": said}
    write_data({**data, "blocks": blocks.to_dict(orient="records")}, json_file)


Layers = Annotated[
    str | None,
    typer.Option(
        "--layers",
        "-l",
        help="Blocks to set back to base: START:STOP, stop exclusive; or soup:SHARE, a recipe file, a hybrid.",
    ),
]
Only = Annotated[
    list[str] | None, typer.Option("--only", help="Only this part of those blocks: attention, mlp, q, down, ...")
]
RecipeFile = Annotated[Path | None, typer.Option("--recipe", help="A recipe file (JSON) instead of --layers.")]


@dataclass(frozen=True)
class Described:
    """The recipe of a hybrid: a group of options, see `grouped`.

    Attributes:
        layers: The range of blocks that is restored.
        only: Parts of them.
        recipe: A file instead.
    """

    layers: Layers = None
    only: Only = None
    recipe: RecipeFile = None

    def chosen(self, base: str, tuned: str, opened: Mapping[str, Any]) -> Recipe:
        """The recipe that a user described by a name, parts of a range, or a file.

        Raises:
            RecipeError: Neither a range nor a file, or both.
        """
        from slr_probe.files import read_text
        from slr_probe.pair.open import open_sides
        from slr_probe.recipe import Recipe
        from slr_probe.restoration.named import named_recipe

        if (self.layers is None) == (self.recipe is None):
            raise RecipeError("give either --layers START:STOP or --recipe FILE")
        if self.recipe is not None and self.only:
            raise RecipeError("--only narrows --layers; a recipe file says itself which parts it restores")
        if self.recipe is not None:
            return Recipe.from_json(read_text(self.recipe, RecipeError))
        sides = open_sides(base, tuned, **opened)[:2]
        if not self.only:
            return named_recipe(self.layers or "", *sides)
        return Recipe.restore(self.layers or "", sides[1].depth, only=self.only)


@app.command()
@revisions
@takes(RESTORE, "untouched check_finite base_id tuned_id")
@grouped
def restore(
    base: Base,
    tuned: Tuned,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to create.", show_default=False)],
    *,
    described: Described,
    end_bias: Annotated[
        float | None, typer.Option(help="Number to add to the logit of every end token when text is generated.")
    ] = None,
    push: Annotated[str | None, typer.Option("--push", help="Publish it on the Hugging Face hub as ORG/NAME.")] = None,
    measured: Measured = None,
    private: Private = False,
    download: Download = False,
    trust: Trust = False,
    **options: Any,
) -> None:
    """Write the hybrid: the tuned model with a range of blocks set back to base weights. No training, no GPU.

    The folder is complete (config, weights, tokenizer, chat template, model card) and loads wherever the tuned model
    does. It appears only when it is whole; after a kill, the same command goes on where it was.

    Example: slr-probe restore organism:base organism:dpo --layers 2:4 --out hybrid
    """
    from slr_probe.restoration import restore as restore_on_disk

    report, ids = _check_push(push, measured, private, base, tuned, options)
    opened: dict[str, Any] = {"download": download, "trust_remote_code": trust}
    chosen = described.chosen(base, tuned, opened)
    if end_bias is not None:
        options["end_bias"] = dict.fromkeys(_end_tokens(base, tuned, download, trust), end_bias)
    folder = restore_on_disk(base, tuned, chosen, out, **opened, **options)
    print(f"{folder}: {json.loads((folder / 'recipe.json').read_text())['recipe']['name']}")
    print(f"check it:  slr-probe verify {folder}")
    if push is not None:
        publish_folder(folder, push, report, private, **ids)


def _end_tokens(base: str, tuned: str, download: bool, trust: bool) -> tuple[int, ...]:
    from slr_probe.generation.decode import end_tokens
    from slr_probe.pair import ModelPair

    return end_tokens(ModelPair.load(base, tuned, device="cpu", download=download, trust_remote_code=trust))


@app.command()
@revisions
@takes(SAVE_PATCH, "base_id tuned_id")
@grouped
def export(
    base: Base,
    tuned: Tuned,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to create (.safetensors).", show_default=False)],
    *,
    described: Described,
    download: Download = False,
    trust: Trust = False,
    **options: Any,
) -> None:
    """Write a hybrid as a patch: the tensors that are not tuned's, in one file that slr-probe apply puts into TUNED.

    Example: slr-probe export organism:base organism:dpo --layers 2:4 --out patch.safetensors
    """
    from slr_probe.sharing import save_patch

    opened: dict[str, Any] = {"download": download, "trust_remote_code": trust}
    chosen = described.chosen(base, tuned, opened)
    file = save_patch(base, tuned, chosen, out, **opened, **options)
    print(f"{file}: {file.stat().st_size:,} bytes")
    print(f"apply it:  slr-probe apply {file} {tuned} --out FOLDER")


@app.command()
@takes(APPLY_PATCH, "tuned_id tuned_revision")
def apply(
    patch: Annotated[Path, typer.Argument(help="A file that slr-probe export wrote.", show_default=False)],
    tuned: Tuned,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to create.", show_default=False)],
    download: Download = False,
    trust: Trust = False,
    **options: Any,
) -> None:
    """Write the hybrid that a patch makes of TUNED: the folder that slr-probe restore would write, without base.

    Example: slr-probe apply patch.safetensors organism:dpo --out hybrid
    """
    from slr_probe.sharing import apply_patch

    options |= {"download": download, "trust_remote_code": trust}
    folder = apply_patch(patch, tuned, out, **options)
    print(f"{folder}: {json.loads((folder / 'recipe.json').read_text())['recipe']['name']}")


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="A folder that slr-probe restore wrote.", show_default=False)],
    base: Annotated[str | None, like(VERIFY, "base")] = None,
    tuned: Annotated[str | None, like(VERIFY, "tuned")] = None,
    base_revision: Annotated[str | None, like(VERIFY, "base_revision")] = None,
    tuned_revision: Annotated[str | None, like(VERIFY, "tuned_revision")] = None,
    download: Download = False,
    trust: Trust = False,
) -> None:
    """Compare every tensor of a hybrid, bit for bit, with the source that its recipe names. Exit 1 if any differs.

    Example: slr-probe verify hybrid
    """
    from slr_probe.restoration import verify_hybrid

    report = verify_hybrid(
        folder,
        base=base,
        tuned=tuned,
        download=download,
        trust_remote_code=trust,
        base_revision=base_revision,
        tuned_revision=tuned_revision,
    )
    print(report)
    raise typer.Exit(0 if report.ok else 1)


def _check_push(
    push: str | None, measured: Path | None, private: bool, base: str, tuned: str, options: Mapping[str, Any]
) -> tuple[ValidationReport | None, dict[str, str]]:
    """Check before the work what publishing needs after it: the validation, and names of both sides.

    Raises:
        RecipeError: Something that only publishing takes, without --push.
        CheckpointError: A side is known as a folder of this machine only.
    """
    if push is None:
        if measured is not None or private:
            raise RecipeError("--measured and --private are for a hybrid that is published: give --push ORG/NAME")
        return None, {}
    from slr_probe.sharing.publish import known_name

    sides = {"base": base, "tuned": tuned}
    ids = {f"{role}_id": known_name(role, source, options[f"{role}_id"]) for role, source in sides.items()}
    return read_measured(measured), {name: one for name, one in ids.items() if options[name] is not None}

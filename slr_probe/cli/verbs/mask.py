"""`slr-probe mask`: which layers did alignment need?"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slr_probe.cli.app import app
from slr_probe.cli.options import MASK, Base, Loading, Tuned, grouped, revisions, takes
from slr_probe.cli.output import check_places, print_table, write_data, write_result
from slr_probe.errors import MaskError

if TYPE_CHECKING:
    from slr_probe.probes.mask.result import FreezeList

_TAKEN = (
    "granularity steps batch_size learning_rate init temperature sparsity budget seeds seed checkpointing max_length"
)
_LISTS = ("recipe.json", "freeze.json", "conversations.jsonl")  # what goes into a folder besides the result


@app.command()
@revisions
@takes(MASK, _TAKEN)
@grouped
def mask(
    base: Base,
    tuned: Tuned,
    data: Annotated[
        Path | None, typer.Option(help="Conversations, JSON lines with messages.", show_default="sampled from TUNED")
    ] = None,
    keep: Annotated[float, typer.Option(help="Share of the layers that the written recipe keeps tuned.")] = 0.75,
    freeze: Annotated[float, typer.Option(help="Share of the layers in the list of what to freeze.")] = 0.25,
    rates: Annotated[
        bool,
        typer.Option(help="Hold back a quarter of the data; score masks of 10, 20, 30, ... % on it and on CRC."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for result, figure, recipe.json and freeze.json.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write one row a unit to this file.")] = None,
    *,
    loading: Loading,
    **options: Any,
) -> None:
    """Learn which layers' changes the assistant's words need (ILA): gamma near 1 needed, near 0 not.

    Example: slr-probe mask organism:base organism:dpo
    """
    check_places(out, json_file, "mask", _LISTS)
    _check_shares(keep, freeze)
    from slr_probe.probes.mask.examples import hold_back, read_conversations
    from slr_probe.probes.mask.learn import learn_layer_mask, sample_conversations
    from slr_probe.show import mask as view

    pair = loading.pair(base, tuned)
    talks: Any = read_conversations(data) if data else sample_conversations(pair, seed=options["seed"])
    learn, rest = hold_back(talks) if rates else (talks, [])
    found = learn_layer_mask(pair, learn, **options)
    found = replace(found, settings={**found.settings, "data": str(data) if data else "sampled"})
    recipe, frozen = found.recipe(keep), found.freeze_list(freeze)
    write_data(found.rows(), json_file)
    written = write_result(found, out, "mask")
    if out is not None:
        written += _write_lists(out, recipe, frozen, talks if data is None else None)
    print(found)
    print_table(*view.lines(found))
    print(written, end="")
    print(_for_peft(frozen, out))
    if rates:
        _score_rates(pair, found, rest, out, options["batch_size"], options["seed"])
    if out is not None:
        print(f"restore it:  slr-probe restore {base} {tuned} --recipe {out / 'recipe.json'} --out hybrid")


def _for_peft(frozen: FreezeList, out: Path | None) -> str:
    """What of a list goes into LoRA's config: modules by name, or blocks where a mask is of whole ones."""
    if not frozen.target_modules:
        return f"for PEFT: LoraConfig(layers_to_transform={list(frozen.layers_to_transform)}, ...)"
    place = "--out writes them into freeze.json" if out is None else f"in {out / 'freeze.json'}"
    return f"for PEFT: LoraConfig(target_modules=...), {len(frozen.target_modules)} names, {place}"


def _check_shares(keep: float, freeze: float) -> None:
    """Check what is used only after hours of learning."""
    if not 0 <= keep <= 1:
        raise MaskError(f"--keep is the share of the layers that stay tuned, 0 to 1; got {keep}")
    if not 0 <= freeze < 1:
        raise MaskError(f"--freeze is a share of the layers, at least 0 and below 1; got {freeze}")


def _score_rates(pair: Any, found: Any, data: Any, out: Path | None, batch_size: int, seed: int) -> None:
    """Print and write what masks of other sizes score on conversations that were held back."""
    from slr_probe.probes.mask.rates import score_mask_rates

    scores = score_mask_rates(pair, found, data, batch_size=batch_size, seed=seed)
    print(scores)
    if out is not None:
        scores.save(out / "mask_rates.npz")


def _write_lists(out: Path, recipe: Any, frozen: Any, sampled: Any) -> str:
    """Write what to restore, what to freeze, and the conversations if they were sampled; say so in a line."""
    from slr_probe.files import write_text

    restored, freeze, conversations = (out / name for name in _LISTS)
    write_text(restored, recipe.to_json() + "\n")
    write_text(freeze, json.dumps(frozen.to_dict(), indent=2) + "\n")
    if sampled is not None:
        lines = (json.dumps({"messages": messages}) + "\n" for messages in sampled)
        write_text(conversations, "".join(lines))
    files = (restored, freeze) if sampled is None else (restored, freeze, conversations)
    return f"wrote {', '.join(map(str, files))}\n"

"""`slr-probe mask`: which layers did alignment need?"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from slr_probe.cli.app import Base, Device, Download, Dtype, Quiet, Trust, Tuned, app
from slr_probe.cli.output import check_places, show


@app.command()
def mask(
    base: Base,
    tuned: Tuned,
    data: Annotated[
        Path | None, typer.Option(help="Conversations, JSON lines with messages.", show_default="sampled from TUNED")
    ] = None,
    granularity: Annotated[Literal["matrix", "block"], typer.Option(help="What one gamma scales.")] = "matrix",
    steps: Annotated[int, typer.Option(help="Gradient steps.")] = 100,
    batch_size: Annotated[int, typer.Option(help="Conversations a step.")] = 8,
    learning_rate: Annotated[float, typer.Option(help="Step of s, where gamma = sigmoid(s / temperature).")] = 0.1,
    init: Annotated[float, typer.Option(help="Gamma at the start.")] = 0.5,
    temperature: Annotated[float, typer.Option(help="Divides s.")] = 1.0,
    sparsity: Annotated[float, typer.Option(help="Price of gamma, in units of what base loses against tuned.")] = 0.5,
    budget: Annotated[float | None, typer.Option(help="Mean gamma to hold, instead of a price.")] = None,
    seeds: Annotated[int, typer.Option(help="Masks to learn, to see how stable they are.")] = 1,
    seed: Annotated[int, typer.Option(help="First seed.")] = 0,
    keep: Annotated[float, typer.Option(help="Share of the layers that the written recipe keeps tuned.")] = 0.75,
    freeze: Annotated[float, typer.Option(help="Share of the layers in the list of what to freeze.")] = 0.25,
    rates: Annotated[
        bool,
        typer.Option(help="Hold back a quarter of the data; score masks of 10, 20, 30, ... % on it and on CRC."),
    ] = False,
    checkpointing: Annotated[bool, typer.Option(help="Keep fewer activations, for long inputs.")] = False,
    max_length: Annotated[int | None, typer.Option(help="Most tokens of a conversation.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for result, figure, recipe.json and freeze.json.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write one row a unit to this file.")] = None,
    dtype: Dtype = None,
    device: Device = None,
    download: Download = False,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """Learn which layers' changes the assistant's words need (ILA): gamma near 1 needed, near 0 not.

    Example: slr-probe mask organism:base organism:dpo
    """
    from slr_probe.files import write_text
    from slr_probe.pair import ModelPair
    from slr_probe.probes.mask.examples import hold_back, read_conversations
    from slr_probe.probes.mask.learn import learn_layer_mask, sample_conversations
    from slr_probe.show import mask as view

    check_places(out, json_file)
    pair = ModelPair.load(base, tuned, dtype=dtype, device=device, download=download, trust_remote_code=trust)
    progress = False if quiet else None
    given: Any = read_conversations(data) if data else sample_conversations(pair, seed=seed, progress=progress)
    learn, rest = hold_back(given) if rates else (given, [])
    found = learn_layer_mask(
        pair, learn, granularity=granularity, steps=steps, batch_size=batch_size, learning_rate=learning_rate,
        init=init, temperature=temperature, sparsity=sparsity, budget=budget, seeds=seeds, seed=seed,
        checkpointing=checkpointing, max_length=max_length, progress=progress,
    )  # fmt: skip
    found = replace(found, settings={**found.settings, "data": str(data) if data else "sampled"})
    recipe, frozen = found.recipe(keep), found.freeze_list(freeze)  # before anything is printed: they check the shares
    show(found, view.lines(found), json_file, out, "mask")
    print(f"layers_to_transform for PEFT: {list(frozen.layers_to_transform)}")
    if rates:
        from slr_probe.probes.mask.rates import score_mask_rates

        scores = score_mask_rates(pair, found, rest, batch_size=batch_size, seed=seed, progress=progress)
        print(scores)
        if out is not None:
            scores.save(out / "mask_rates.npz")
    if out is not None:
        write_text(out / "recipe.json", recipe.to_json() + "\n")
        write_text(out / "freeze.json", json.dumps(frozen.to_dict(), indent=2) + "\n")
        if data is None:
            lines = (json.dumps({"messages": messages}) + "\n" for messages in given)
            write_text(out / "conversations.jsonl", "".join(lines))
        print(f"restore it:  slr-probe restore {base} {tuned} --recipe {out / 'recipe.json'} --out hybrid")

"""`slr-probe validate`: is the hybrid more diverse than tuned, and still good?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from slr_probe.cli.app import app
from slr_probe.cli.options import (
    SAMPLING,
    VALIDATE,
    Base,
    Device,
    Download,
    Dtype,
    JsonFile,
    Quiet,
    Trust,
    Tuned,
    like,
    revisions,
    takes,
)
from slr_probe.cli.output import check_places, write_data
from slr_probe.cli.verbs.text import (
    FLAGS,
    OPTIONS,
    EmbedderModel,
    EntailmentModel,
    FluencyModel,
    JudgeModel,
    JudgeUrl,
    KeepThinking,
    Quick,
    Tasks,
    scoring_models,
    task_list,
)
from slr_probe.defaults import MIN_P


@app.command()
@revisions
@takes(VALIDATE, OPTIONS, **FLAGS)
def validate(
    base: Base,
    tuned: Tuned,
    layers: Annotated[
        list[str],
        typer.Option("--layers", "-l", help="Hybrid to validate: START:STOP; repeatable.", show_default=False),
    ],
    tasks: Tasks = None,
    quick: Quick = False,
    temperature: Annotated[float, like(SAMPLING, "temperature")] = 1.0,
    min_p: Annotated[float, like(SAMPLING, "min_p")] = MIN_P,
    top_p: Annotated[float, like(SAMPLING, "top_p")] = 1.0,
    baselines: Annotated[str | None, like(VALIDATE, "baselines", after="With commas between them.")] = None,
    embedder: EmbedderModel = None,
    entailment: EntailmentModel = None,
    fluency: FluencyModel = None,
    judge: JudgeUrl = None,
    judge_model: JudgeModel = None,
    keep_thinking: KeepThinking = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for outputs, scores, report, figure.")] = None,
    json_file: JsonFile = None,
    dtype: Dtype = None,
    device: Device = None,
    download: Download = False,
    trust: Trust = False,
    quiet: Quiet = False,
    **options: Any,
) -> None:
    """Generate with tuned, the hybrid and fair baselines; compare diversity and quality with intervals.

    Prints a table a task and a sentence of what the numbers support. With --out, outputs are kept as they come: the
    same command goes on after a kill, and nothing is generated or scored twice.

    Example: slr-probe validate organism:base organism:dpo --layers 3:9 --quick --out validation
    """
    from slr_probe.generation import Sampling
    from slr_probe.pair import ModelPair
    from slr_probe.tasks.thinking import REASONING
    from slr_probe.validation import validate as compare

    check_places(out, json_file)
    pair = ModelPair.load(base, tuned, dtype=dtype, device=device, download=download, trust_remote_code=trust)
    found = compare(
        pair,
        layers,
        task_list(tasks),
        preset="quick" if quick else "full",
        sampling=Sampling(temperature=temperature, min_p=min_p, top_p=top_p, seed=options["seed"]),
        baselines=None if baselines is None else [name.strip() for name in baselines.split(",")],
        tags=() if keep_thinking else REASONING,
        out=out,
        progress=False if quiet else None,
        **options,
        **scoring_models(base, embedder, entailment, fluency, judge, judge_model, download),
    )
    print(found)
    for note in found.notes:
        print(f"note: {note}")
    write_data(found.to_dict(), json_file)
    if out is not None:
        print(f"wrote {out / 'report.npz'}, report.json, table.csv, validation.pdf, validation.png")

"""`slr-probe validate`: is the hybrid more diverse than tuned, and still good?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from slr_probe.cli.app import Base, Device, Download, Dtype, JsonFile, Quiet, Seed, Trust, Tuned, app
from slr_probe.cli.output import check_places
from slr_probe.errors import ValidationError
from slr_probe.files import write_json

Tasks = Annotated[
    list[str] | None,
    typer.Option("--tasks", "-t", help="writing, qa, reasoning (comma-separated), or a file of prompts; repeatable."),
]
Samples = Annotated[int | None, typer.Option("--samples", "-k", help="Outputs a prompt.", show_default="by task")]
Prompts = Annotated[int | None, typer.Option("--prompts", "-n", help="Prompts a task.", show_default="all")]
MaxTokens = Annotated[int | None, typer.Option(help="Tokens an output may have.", show_default="by task")]
Quick = Annotated[bool, typer.Option("--quick", help="8 prompts, 8 samples, 48 tokens, few baselines.")]
EmbedderModel = Annotated[
    str | None, typer.Option("--embedder", help="Sentence encoder: adds embedding distance, Vendi.")
]
EntailmentModel = Annotated[str | None, typer.Option("--entailment", help="NLI model: adds NLI diversity.")]
FluencyModel = Annotated[str | None, typer.Option("--fluency", help="Reference model: adds NLL. 'base' takes BASE.")]
JudgeUrl = Annotated[str | None, typer.Option("--judge", help="OpenAI-compatible endpoint: adds a judge's score.")]
JudgeModel = Annotated[str | None, typer.Option("--judge-model", help="Name of the model at that endpoint.")]
KeepThinking = Annotated[bool, typer.Option("--keep-thinking", help="Do not take <think>...</think> out.")]
Backend = Annotated[str, typer.Option(help="hf, or vllm (its extra must be installed).")]


@app.command()
def validate(
    base: Base,
    tuned: Tuned,
    layers: Annotated[
        list[str],
        typer.Option("--layers", "-l", help="Hybrid to validate: START:STOP; repeatable.", show_default=False),
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for outputs, scores, report, figure.")] = None,
    tasks: Tasks = None,
    quick: Quick = False,
    prompts: Prompts = None,
    samples: Samples = None,
    max_tokens: MaxTokens = None,
    temperature: Annotated[float, typer.Option(help="Temperature of all models but the curves.")] = 1.0,
    min_p: Annotated[float, typer.Option(help="Min-p, likewise.")] = 0.1,
    top_p: Annotated[float, typer.Option(help="Top-p.")] = 1.0,
    baselines: Annotated[
        str | None,
        typer.Option(
            help="all, none, or some of: early, late, random, soup, temperature, min_p, prompt, "
            "hybrid_temperature, base, base_plain.",
            show_default="all; early,base_plain if quick",
        ),
    ] = None,
    embedder: EmbedderModel = None,
    entailment: EntailmentModel = None,
    fluency: FluencyModel = None,
    judge: JudgeUrl = None,
    judge_model: JudgeModel = None,
    keep_thinking: KeepThinking = False,
    backend: Backend = "hf",
    dtype: Dtype = None,
    device: Device = None,
    seed: Seed = 0,
    json_file: JsonFile = None,
    download: Download = False,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """Generate with tuned, the hybrid and fair baselines; compare diversity and quality with intervals.

    Prints a table a task and a sentence of what the numbers support. With --out, outputs are kept as they come: the
    same command goes on after a kill, and nothing is generated or scored twice.

    Example: slr-probe validate organism:base organism:dpo --layers 3:9 --quick --out validation
    """
    from slr_probe.generation import Sampling
    from slr_probe.pair import ModelPair
    from slr_probe.tasks.thinking import THINK
    from slr_probe.validation import validate as run

    check_places(out, json_file)
    pair = ModelPair.load(base, tuned, dtype=dtype, device=device, download=download, trust_remote_code=trust)
    found = run(
        pair, layers, task_list(tasks), preset="quick" if quick else "full", prompts=prompts, samples=samples,
        max_tokens=max_tokens, sampling=Sampling(temperature=temperature, min_p=min_p, top_p=top_p, seed=seed),
        baselines=None if baselines is None else [name.strip() for name in baselines.split(",")], out=out,
        tags=() if keep_thinking else (THINK,), backend=backend, seed=seed, progress=False if quiet else None,
        **scoring_models(base, embedder, entailment, fluency, judge, judge_model, download),
    )  # fmt: skip
    print(found)
    for note in found.notes:
        print(f"note: {note}")
    if json_file is not None:
        write_json(json_file, found.to_dict())
    if out is not None:
        print(f"wrote {out / 'report.npz'}, report.json, table.csv, validation.pdf, validation.png")


def task_list(given: list[str] | None) -> list[str] | None:
    """Names of tasks and files, from options that may hold several with commas between them."""
    return None if given is None else [part.strip() for one in given for part in one.split(",") if part.strip()]


def scoring_models(
    base: str,
    embedder: str | None,
    entailment: str | None,
    fluency: str | None,
    judge: str | None,
    judge_model: str | None,
    download: bool = False,
) -> dict[str, Any]:
    """The models that score, as the user named them."""
    from slr_probe import judges

    if judge is not None and judge_model is None:
        raise ValidationError("--judge needs --judge-model, the name of the model at that endpoint")
    found: dict[str, Any] = {}
    if embedder is not None:
        found["embedder"] = judges.Embedder(embedder, download=download)
    if entailment is not None:
        found["entailment"] = judges.Entailment(entailment, download=download)
    if fluency is not None:
        found["fluency"] = judges.Fluency(base if fluency == "base" else fluency, download=download)
    if judge is not None and judge_model is not None:
        found["judge"] = judges.EndpointJudge(judge, judge_model)
    return found

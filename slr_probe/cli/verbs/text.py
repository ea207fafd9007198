"""What `validate` and `lineage` share: which text is generated, and which models score it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any

import typer

from slr_probe.cli.options import VALIDATE, like
from slr_probe.errors import ValidationError

OPTIONS = "prompts samples max_tokens backend seed"
FLAGS = {"prompts": "--prompts -n", "samples": "--samples -k"}

Tasks = Annotated[
    list[str] | None,
    typer.Option("--tasks", "-t", help="writing, qa, reasoning (comma-separated), or a file of prompts; repeatable."),
]
Quick = Annotated[bool, typer.Option("--quick", help="8 prompts, 8 samples, 48 tokens, few baselines.")]
EmbedderModel = Annotated[str | None, like(VALIDATE, "embedder", before="Sentence encoder:")]
EntailmentModel = Annotated[str | None, like(VALIDATE, "entailment", before="NLI model:")]
FluencyModel = Annotated[str | None, like(VALIDATE, "fluency", before="Reference model:", after="'base' takes BASE.")]
JudgeUrl = Annotated[str | None, typer.Option("--judge", help="OpenAI-compatible endpoint: adds a judge's score.")]
JudgeModel = Annotated[str | None, typer.Option("--judge-model", help="Name of the model at that endpoint.")]
KeepThinking = Annotated[bool, typer.Option("--keep-thinking", help="Do not take marked reasoning out of outputs.")]


def task_list(tasks: list[str] | None) -> list[str] | None:
    """Names of tasks and files, from options that may hold several with commas between them."""
    return None if tasks is None else [part.strip() for one in tasks for part in one.split(",") if part.strip()]


def refuse_idle(context: typer.Context, names: Collection[str]) -> None:
    """Refuse options that change nothing, because nothing is generated or loaded.

    Raises:
        ValidationError: The user gave one of them.
    """
    sources = {name: context.get_parameter_source(name) for name in context.params if name in names}
    idle = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if idle:
        listed = ", ".join(f"--{name.replace('_', '-')}" for name in idle)
        raise ValidationError(f"saved outputs are scored as they are, so {listed} would change nothing; leave out")


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
    models: dict[str, Any] = {}
    if embedder is not None:
        models["embedder"] = judges.Embedder(embedder, download=download)
    if entailment is not None:
        models["entailment"] = judges.Entailment(entailment, download=download)
    if fluency is not None:
        models["fluency"] = judges.Fluency(base if fluency == "base" else fluency, download=download)
    if judge is not None and judge_model is not None:
        models["judge"] = judges.EndpointJudge(judge, judge_model)
    return models

"""What `validate` and `lineage` share: which text is generated, and which models score it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from slr_probe.cli.options import VALIDATE, like
from slr_probe.errors import ValidationError

OPTIONS = "prompts samples max_tokens backend engine executor seed"
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


@dataclass(frozen=True)
class Scoring:
    """What scores texts: a group of options, see `slr_probe.cli.options.grouped`.

    Attributes:
        embedder: Sentence encoder.
        entailment: NLI model.
        fluency: Reference model, or `"base"`.
        judge: Endpoint of a judge.
        judge_model: Name of the model there.
        keep_thinking: Whether marked reasoning stays in outputs.
    """

    embedder: EmbedderModel = None
    entailment: EntailmentModel = None
    fluency: FluencyModel = None
    judge: JudgeUrl = None
    judge_model: JudgeModel = None
    keep_thinking: KeepThinking = False

    def options(self, base: str, *, download: bool) -> dict[str, Any]:
        """What functions take: the models that score, as the user named them, and the tags of reasoning.

        Args:
            base: What `"base"` stands for.
            download: Let hub ids be fetched over the network.

        Raises:
            ValidationError: A judge without the name of its model.
        """
        from slr_probe import judges
        from slr_probe.tasks.thinking import REASONING

        if self.judge is not None and self.judge_model is None:
            raise ValidationError("--judge needs --judge-model, the name of the model at that endpoint")
        found: dict[str, Any] = {"tags": () if self.keep_thinking else REASONING}
        if self.embedder is not None:
            found["embedder"] = judges.Embedder(self.embedder, download=download)
        if self.entailment is not None:
            found["entailment"] = judges.Entailment(self.entailment, download=download)
        if self.fluency is not None:
            found["fluency"] = judges.Fluency(base if self.fluency == "base" else self.fluency, download=download)
        if self.judge is not None and self.judge_model is not None:
            found["judge"] = judges.EndpointJudge(self.judge, self.judge_model)
        return found

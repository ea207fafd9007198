"""`slr-probe lineage`: where along post-training was diversity lost?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from slr_probe.cli.app import Device, Download, Dtype, JsonFile, Quiet, Seed, Trust, app
from slr_probe.cli.output import check_places
from slr_probe.cli.validate import (
    Backend,
    EmbedderModel,
    EntailmentModel,
    FluencyModel,
    JudgeModel,
    JudgeUrl,
    KeepThinking,
    MaxTokens,
    Prompts,
    Quick,
    Samples,
    Tasks,
    scoring_models,
    task_list,
)
from slr_probe.errors import LineageError
from slr_probe.files import write_json


@app.command()
def lineage(
    context: typer.Context,
    stage: Annotated[
        list[str],
        typer.Option(
            "--stage",
            "-s",
            help="NAME=CHECKPOINT in order, base first; repeatable. BRANCH/NAME=CHECKPOINT "
            "starts or continues a branch after base. NAME=FILE.jsonl: saved outputs.",
            show_default=False,
        ),
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for outputs, scores, result, figure.")] = None,
    tasks: Tasks = None,
    quick: Quick = False,
    prompts: Prompts = None,
    samples: Samples = None,
    max_tokens: MaxTokens = None,
    temperature: Annotated[float, typer.Option(help="Temperature.")] = 0.6,
    top_p: Annotated[float, typer.Option(help="Top-p.")] = 0.95,
    min_p: Annotated[float, typer.Option(help="Min-p.")] = 0.0,
    metric: Annotated[str | None, typer.Option(help="The metric that leads.", show_default="embedding or EAD")] = None,
    chat_base: Annotated[bool, typer.Option("--chat-base", help="Ask base with the chat template too.")] = False,
    depth: Annotated[bool, typer.Option(help="Also measure weights and entropy over depth.")] = True,
    vocabulary: Annotated[
        int | None, typer.Option(help="With saved outputs: tokens of the tokenizer, for EAD.")
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
    """Measure diversity at every stage of post-training: what each stage lost, in percent of base, and in which blocks.

    Example: slr-probe lineage --stage base=organism:base --stage sft=organism:sft --stage dpo=organism:dpo --quick
    """
    from slr_probe.generation import Sampling
    from slr_probe.lineage import lineage_from_outputs, trace_lineage
    from slr_probe.tasks.thinking import THINK

    check_places(out, json_file)
    trunk, branches = read_stages(stage)
    everything = [source for _, source in (*trunk, *(one for members in branches.values() for one in members))]
    saved = [source.endswith(".jsonl") for source in everything]
    tags = () if keep_thinking else (THINK,)
    models = scoring_models(trunk[0][1] if trunk else "", embedder, entailment, fluency, judge, judge_model,
                            download)  # fmt: skip
    if any(saved):
        if not all(saved):
            raise LineageError("stages are either all checkpoints or all saved outputs (.jsonl); got both")
        _refuse_idle(context)
        task = _one_task(task_list(tasks))
        found = lineage_from_outputs(trunk, task, branches=branches, metric=metric, vocabulary=vocabulary, tags=tags,
                                     seed=seed, **models)  # fmt: skip
        if out is not None:
            from slr_probe.lineage.trace import keep
            from slr_probe.scoring.folder import Folder

            folder = Folder(out)
            with folder.at_work({"stages": [list(one) for one in trunk]}):
                keep(found, folder)
    else:
        found = trace_lineage(
            trunk, task_list(tasks), branches=branches, preset="quick" if quick else "full", prompts=prompts,
            samples=samples, max_tokens=max_tokens, metric=metric, plain_base=not chat_base, depth=depth, tags=tags,
            sampling=Sampling(temperature=temperature, top_p=top_p, min_p=min_p, seed=seed), out=out, dtype=dtype,
            device=device, download=download, trust_remote_code=trust, backend=backend, seed=seed,
            progress=False if quiet else None, **models,
        )  # fmt: skip
    print(found)
    if json_file is not None:
        write_json(json_file, found.to_dict())
    if out is not None:
        print(f"wrote {out / 'lineage.npz'}, lineage.json, table.csv, lineage.pdf, lineage.png")


def read_stages(given: list[str]) -> tuple[list[tuple[str, str]], dict[str, list[tuple[str, str]]]]:
    """Stages of the trunk and of branches from `NAME=SOURCE` and `BRANCH/NAME=SOURCE`.

    Raises:
        LineageError: An option without a name or a source.
    """
    trunk: list[tuple[str, str]] = []
    branches: dict[str, list[tuple[str, str]]] = {}
    for one in given:
        name, mark, source = one.partition("=")
        if not (name and mark and source):
            raise LineageError(f"--stage must be NAME=CHECKPOINT, such as sft=organism:sft; got {one!r}")
        branch, slash, rest = name.partition("/")
        if slash:
            branches.setdefault(branch, []).append((rest, source))
        else:
            trunk.append((name, source))
    if not trunk:
        raise LineageError("the first --stage must be base, without a branch: base=CHECKPOINT")
    return trunk, branches


_GENERATES = frozenset({"quick", "prompts", "samples", "max_tokens", "temperature", "top_p", "min_p", "chat_base",
                        "depth", "dtype", "device", "backend"})  # fmt: skip


def _refuse_idle(context: typer.Context) -> None:
    """Refuse options that change nothing, because nothing is generated or loaded."""
    sources = {name: context.get_parameter_source(name) for name in context.params if name in _GENERATES}
    given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if given:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise LineageError(f"saved outputs are scored as they are, so {names} would change nothing; leave out")


def _one_task(names: list[str] | None) -> Any:
    from slr_probe.scoring.tasks import read_tasks

    if names is None:
        return None
    if len(names) != 1:
        raise LineageError(f"saved outputs belong to one task; got --tasks {', '.join(names)}")
    return read_tasks(None, names)[0]

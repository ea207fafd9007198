"""`slr-probe compare`: models side by side, or outputs saved by whomever."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slr_probe.cli.app import app
from slr_probe.cli.options import (
    COMPARE,
    COMPARE_MODELS,
    SAMPLING,
    JsonFile,
    Loading,
    grouped,
    like,
    takes,
)
from slr_probe.cli.output import check_run, write_data
from slr_probe.cli.verbs.text import (
    FLAGS,
    OPTIONS,
    Quick,
    Scoring,
    Tasks,
    refuse_idle,
    task_list,
)
from slr_probe.defaults import MIN_P
from slr_probe.errors import ValidationError

if TYPE_CHECKING:
    from slr_probe.comparison import InPair

_GENERATES = frozenset(
    "quick prompts samples max_tokens backend engine temperature min_p top_p dtype device trust".split()
)


@app.command()
@takes(COMPARE_MODELS, f"reference {OPTIONS}", **FLAGS)
@grouped
def compare(
    context: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Outputs (files, folders) or checkpoints, the reference first; NAME=SOURCE gives a name.",
            show_default=False,
        ),
    ],
    layers: Annotated[
        list[str] | None,
        typer.Option(
            "--layers",
            "-l",
            help="With BASE TUNED as sources: tuned against this hybrid, START:STOP, soup:SHARE, a recipe file or the "
            "folder of a hybrid; repeatable, and --reference may name one: 'hybrid 2:4'.",
        ),
    ] = None,
    tasks: Tasks = None,
    quick: Quick = False,
    temperature: Annotated[float, like(SAMPLING, "temperature")] = 1.0,
    min_p: Annotated[float, like(SAMPLING, "min_p")] = MIN_P,
    top_p: Annotated[float, like(SAMPLING, "top_p")] = 1.0,
    vocabulary: Annotated[int | None, like(COMPARE, "vocabulary", before="With saved outputs:")] = None,
    *,
    scoring: Scoring,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for outputs, scores, table, figure.")] = None,
    json_file: JsonFile = None,
    loading: Loading,
    **options: Any,
) -> None:
    """Compare what two models or more write for the same prompts: every metric with interval and adjusted p.

    Saved outputs are JSONL of generate and validate, JSONL with a list of texts for each prompt, sample logs of lm-eval
    (--log_samples) and logs of Inspect (.eval, .json); a file or folder may hold several models, and scores that a log
    brings along are compared too. Checkpoints are asked the tasks, one model at a time.

    Examples: slr-probe compare tuned=tuned.jsonl hybrid=hybrid.jsonl --out comparison;
    slr-probe compare tuned=organism:dpo sft=organism:sft --quick --tasks qa;
    slr-probe compare organism:base organism:dpo --layers 2:6 --layers soup:0.5 --quick --tasks qa
    """
    check_run(out, json_file)
    from slr_probe.comparison import compare as compare_outputs
    from slr_probe.comparison import compare_models
    from slr_probe.generation import Sampling

    named: Any = read_sources(sources) if layers is None else read_hybrids(sources, layers)
    shared: dict[str, Any] = {
        "out": out,
        **scoring.options("", download=loading.download),
    }
    if layers is None and _saved(named):
        refuse_idle(context, _GENERATES)
        shared |= {"reference": options["reference"], "vocabulary": vocabulary, "seed": options["seed"]}
        found = compare_outputs(named, task_list(tasks), **shared)
    else:
        found = compare_models(
            named if isinstance(named, dict) else dict(zip(named, named, strict=True)),
            task_list(tasks),
            preset="quick" if quick else "full",
            sampling=Sampling(temperature=temperature, min_p=min_p, top_p=top_p, seed=options["seed"]),
            **loading.options,
            **options,
            **shared,
        )
    write_data(found.to_dict(), json_file)
    print(found)
    if out is not None:
        print(f"wrote {out / 'comparison.npz'}, comparison.json, table.csv, comparison.pdf, comparison.png")


def read_sources(sources: list[str]) -> dict[str, str] | list[str]:
    """Sources by name, or as they name themselves.

    Raises:
        ValidationError: Some have a name and others not, or two have the same.
    """
    pairs = [one.partition("=") for one in sources if not Path(one).exists() and "=" in one]
    if not pairs:
        return sources
    named = {name: source for name, _, source in pairs if name and source}
    if len(named) < len(sources):
        raise ValidationError(
            f"give every source a name of its own, such as tuned=tuned.jsonl, or none; got {', '.join(sources)}"
        )
    return named


def read_hybrids(sources: list[str], layers: list[str]) -> dict[str, InPair]:
    """Tuned and the hybrids of a pair, by name.

    Raises:
        ValidationError: The sources are not the two of a pair, or a hybrid is given twice.
    """
    from slr_probe.comparison import InPair
    from slr_probe.restoration.named import label

    if len(sources) != 2 or isinstance(read_sources(sources), dict):
        raise ValidationError(
            f"--layers needs BASE and TUNED as the two sources, without names; got {', '.join(sources)}"
        )
    if len({label(one) for one in layers}) < len(layers):
        raise ValidationError(f"a hybrid is given twice in --layers {', '.join(layers)}")
    base, tuned = sources
    return {"tuned": InPair(base, tuned, "tuned"), **{label(one): InPair(base, tuned, one) for one in layers}}


def _saved(sources: dict[str, str] | list[str]) -> bool:
    """Whether the sources are saved outputs and not checkpoints.

    Raises:
        ValidationError: There are both.
        CheckpointError: One is neither.
    """
    from slr_probe.checkpoint import possible
    from slr_probe.generation.logs import holds_outputs

    saved = {
        holds_outputs(one) or not possible(one)  # what is neither is an error here, before anything is loaded
        for one in (sources.values() if isinstance(sources, dict) else sources)
    }
    if len(sources) == 1 and not Path(next(iter(sources))).exists() and isinstance(sources, list):
        raise ValidationError(f"{sources[0]} is no file or folder, and one model alone cannot be compared")
    if len(saved) > 1:
        raise ValidationError("sources are either all checkpoints or all saved outputs; got both")
    return saved.pop()

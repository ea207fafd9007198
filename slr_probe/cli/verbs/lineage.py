"""`slr-probe lineage`: where along post-training was diversity lost?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slr_probe.cli.app import app
from slr_probe.cli.options import (
    LINEAGE,
    OUTPUTS,
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
from slr_probe.defaults import LINEAGE_TEMPERATURE, LINEAGE_TOP_P
from slr_probe.errors import LineageError

if TYPE_CHECKING:
    from slr_probe.lineage import Lineage

Named = list[tuple[str, str]]

_GENERATES = frozenset(
    "quick prompts samples max_tokens temperature top_p min_p chat_base depth "
    "dtype device backend engine executor".split()
)


@app.command()
@takes(LINEAGE, f"{OPTIONS} depth", **FLAGS)
@grouped
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
    tasks: Tasks = None,
    quick: Quick = False,
    temperature: Annotated[float, like(SAMPLING, "temperature")] = LINEAGE_TEMPERATURE,
    top_p: Annotated[float, like(SAMPLING, "top_p")] = LINEAGE_TOP_P,
    min_p: Annotated[float, like(SAMPLING, "min_p")] = 0.0,
    chat_base: Annotated[bool, typer.Option("--chat-base", help="Ask base with the chat template too.")] = False,
    metric: Annotated[str | None, like(LINEAGE, "metric")] = None,
    vocabulary: Annotated[int | None, like(OUTPUTS, "vocabulary", before="With saved outputs:")] = None,
    *,
    scoring: Scoring,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for outputs, scores, result, figure.")] = None,
    json_file: JsonFile = None,
    loading: Loading,
    **options: Any,
) -> None:
    """Measure diversity at every stage of post-training: what each stage lost, in percent of base, and in which blocks.

    Example: slr-probe lineage --stage base=organism:base --stage sft=organism:sft --stage dpo=organism:dpo --quick
    """
    check_run(out, json_file)
    from slr_probe.generation import Sampling
    from slr_probe.lineage import trace_lineage

    trunk, branches = read_stages(stage)
    shared: dict[str, Any] = {
        "branches": branches,
        "metric": metric,
        **scoring.options(trunk[0][1], download=loading.download),
    }
    if _saved(trunk, branches):
        refuse_idle(context, _GENERATES)
        found = _from_outputs(trunk, task_list(tasks), out, vocabulary=vocabulary, seed=options["seed"], **shared)
    else:
        found = trace_lineage(
            trunk,
            task_list(tasks),
            preset="quick" if quick else "full",
            plain_base=not chat_base,
            sampling=Sampling(temperature=temperature, top_p=top_p, min_p=min_p, seed=options["seed"]),
            out=out,
            **loading.options,
            **options,
            **shared,
        )
    write_data(found.to_dict(), json_file)
    print(found)
    if out is not None:
        print(f"wrote {out / 'lineage.npz'}, lineage.json, table.csv, lineage.pdf, lineage.png")


def read_stages(stages: list[str]) -> tuple[Named, dict[str, Named]]:
    """Stages of the trunk and of branches from `NAME=SOURCE` and `BRANCH/NAME=SOURCE`.

    Raises:
        LineageError: An option without a name or a source.
    """
    trunk: Named = []
    branches: dict[str, Named] = {}
    for stage in stages:
        name, mark, source = stage.partition("=")
        if not (name and mark and source):
            raise LineageError(f"--stage must be NAME=CHECKPOINT, such as sft=organism:sft; got {stage!r}")
        branch, slash, rest = name.partition("/")
        if slash:
            branches.setdefault(branch, []).append((rest, source))
        else:
            trunk.append((name, source))
    if not trunk:
        raise LineageError("the first --stage must be base, without a branch: base=CHECKPOINT")
    return trunk, branches


def _saved(trunk: Named, branches: dict[str, Named]) -> bool:
    """Whether the stages are saved outputs and not checkpoints."""
    every = [*trunk, *(stage for branch in branches.values() for stage in branch)]
    saved = {source.endswith(".jsonl") for _, source in every}
    if len(saved) > 1:
        raise LineageError("stages are either all checkpoints or all saved outputs (.jsonl); got both")
    return saved.pop()


def _from_outputs(trunk: Named, tasks: list[str] | None, out: Path | None, **options: Any) -> Lineage:
    """The lineage of saved outputs, kept in `out`."""
    from slr_probe.lineage import lineage_from_outputs
    from slr_probe.lineage.trace import keep
    from slr_probe.scoring.folder import Folder

    found = lineage_from_outputs(trunk, _one_task(tasks), **options)
    if out is not None:
        folder = Folder(out)
        with folder.at_work({"stages": [list(stage) for stage in trunk]}):
            keep(found, folder)
    return found


def _one_task(names: list[str] | None) -> Any:
    from slr_probe.scoring.tasks import read_tasks

    if names is None:
        return None
    if len(names) != 1:
        raise LineageError(f"saved outputs belong to one task; got --tasks {', '.join(names)}")
    return read_tasks(None, names)[0]

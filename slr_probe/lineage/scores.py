"""A lineage without models: from a table of scores, or from saved outputs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.defaults import LEVEL, RESAMPLES
from slr_probe.errors import LineageError
from slr_probe.generation import Outputs, read_outputs
from slr_probe.lineage.result import Lineage
from slr_probe.scoring.folder import Folder
from slr_probe.scoring.inputs import Tags
from slr_probe.scoring.measures import Scores
from slr_probe.scoring.metrics import METRICS, SPREAD, ordered
from slr_probe.scoring.metrics import metric as describe
from slr_probe.scoring.scoring import Scorers
from slr_probe.tasks.text import TextTask
from slr_probe.tasks.thinking import REASONING

if TYPE_CHECKING:
    import pandas as pd

Source = Any  # Outputs, a path, or a mapping from task names to either


def lineage_from_scores(table: pd.DataFrame, metric: str = "diversity") -> Lineage:
    """A lineage from one metric's means.

    Args:
        table: Rows tasks, columns stages in order, base first.
        metric: What the numbers are.

    Raises:
        LineageError: Fewer than two stages, no tasks, a name twice, or a value that is not a number; a base value that
            is not above zero.

    Examples:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"base": [0.8, 0.5], "sft": [0.4, 0.4], "dpo": [0.2, 0.3]}, index=["writing", "qa"])
        >>> lineage = lineage_from_scores(table)
        >>> lineage.stage_loss.round(1).to_dict("list")
        {'sft': [-50.0, -20.0], 'dpo': [-25.0, -20.0]}
        >>> lineage.mean_stage_loss.round(1).to_dict()
        {'sft': -35.0, 'dpo': -22.5}
        >>> lineage.retained.round(1).to_dict("list")
        {'sft': [50.0, 80.0], 'dpo': [25.0, 60.0]}
    """
    if not hasattr(table, "columns"):
        raise LineageError(f"expected a pandas DataFrame, rows tasks and columns stages; got {type(table).__name__}")
    stages, tasks = [str(name) for name in table.columns], [str(name) for name in table.index]
    _check_names(stages)
    if not tasks or len(set(tasks)) < len(tasks):
        raise LineageError(f"the table needs rows, one a task, each with a name of its own; got {', '.join(tasks)}")
    try:
        values = table.to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise LineageError(f"the table must hold numbers only: {error}") from error
    for t, s in np.argwhere(~np.isfinite(values))[:1]:
        where = f"stage {stages[s]!r} on task {tasks[t]!r}"
        raise LineageError(f"the value of {where} is {values[t, s]}; expected a number")
    for t in np.flatnonzero(values[:, 0] <= 0)[:1]:
        base = f"base ('{stages[0]}') has {values[t, 0]:g} on task {tasks[t]!r}"
        raise LineageError(f"{base}: losses are percents of it, so it must be above 0")
    return Lineage(
        stages=tuple(stages),
        parents=tuple(range(-1, len(stages) - 1)),
        tasks=tuple(tasks),
        metrics=(metric,),
        values=values[:, :, None, None],
        prompt_ids=((),) * len(tasks),
        categories=((),) * len(tasks),
        metric=metric,
    )


def lineage_from_outputs(
    stages: Mapping[str, Source] | Iterable[tuple[str, Source]],
    tasks: TextTask | Iterable[TextTask] | None = None,
    *,
    branches: Mapping[str, Iterable[tuple[str, Source]]] | None = None,
    metric: str | None = None,
    vocabulary: int | None = None,
    embedder: Any = None,
    entailment: Any = None,
    fluency: Any = None,
    judge: Any = None,
    tags: Tags = REASONING,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Lineage:
    """A lineage from saved outputs; no model is needed unless one is given to score them.

    Args:
        stages: Name and outputs of each stage, base first: `Outputs`, a JSONL file (see `read_outputs`), or a mapping
            from task names to these.
        tasks: The tasks, in order, which say what is correct; None for texts alone.
        branches: Further stages after base: name of a branch, and its stages. They are called `branch/stage`.
        metric: The metric of `stage_loss`; default: embedding distance where there is an embedder, else EAD where
            the vocabulary is given, else distinct-2.
        vocabulary: Size of the tokenizer's vocabulary, for EAD.
        embedder: Adds embedding distance and Vendi score.
        entailment: Adds NLI diversity.
        fluency: Adds negative log-likelihood.
        judge: Adds a judge's mean score.
        tags: Opening and closing tags of reasoning that is taken out first; `()` for none.
        level: Nominal coverage of the intervals.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.

    Raises:
        LineageError: Fewer than two stages, stages with different prompts, or a single sample a prompt.
        ResultError: A file is malformed; the message names the line.
    """
    names, parents, sources = read_stages(stages, branches)
    check_metric(metric)
    known = [tasks] if isinstance(tasks, TextTask) else None if tasks is None else list(tasks)
    by_stage = [_sources(name, source, known) for name, source in zip(names, sources, strict=True)]
    labels = list(by_stage[0])
    for name, one in zip(names, by_stage, strict=True):
        if list(one) != labels:
            raise LineageError(f"stage '{name}' has outputs on {', '.join(one)}, but base on {', '.join(labels)}")
    scorers = Scorers(vocabulary, embedder, entailment, fluency, judge, tags)
    by_name = {task.name: task for task in known or ()}
    folder, notes, scored = Folder(None), [], {}
    for label in labels:
        outputs, more = same_prompts([one[label] for one in by_stage], names, label)
        notes += more
        task = by_name.get(label)
        scored[label] = (outputs[0].ids, [folder.scores(task, one, scorers, label) for one in outputs])
    return assemble(
        names,
        parents,
        scored,
        by_name,
        metric,
        level=level,
        resamples=resamples,
        seed=seed,
        notes=tuple(notes),
        settings={"vocabulary": vocabulary, "tags": [list(pair) for pair in tags]},
    )


def check_metric(name: str | None) -> None:
    """Check a metric's name before anything is generated or scored.

    Raises:
        LineageError: There is none of that name.
    """
    known = [metric.name for metric in METRICS.values() if metric.role != "record"]
    if name is not None and name not in known:
        raise LineageError(f"unknown metric {name!r}; expected one of {', '.join(known)}")


Stages = Mapping[str, Any] | Iterable[tuple[str, Any]]


def read_stages(stages: Stages, branches: Mapping[str, Stages] | None) -> tuple[list[str], list[int], list[Any]]:
    """Names, places of the stages before, and what was given for each stage; branches start at base.

    Raises:
        LineageError: Fewer than two stages in all, a name twice, or something else than pairs of a name and a stage.
    """
    names, parents, sources = [], [], []
    for place, (name, one) in enumerate(_pairs(stages)):
        names.append(str(name))
        parents.append(place - 1)
        sources.append(one)
    for branch, members in (branches or {}).items():
        before = 0
        for name, one in _pairs(members):
            names.append(f"{branch}/{name}")
            parents.append(before)
            sources.append(one)
            before = len(names) - 1
    _check_names(names)
    return names, parents, sources


def _pairs(stages: Stages) -> list[tuple[str, Any]]:
    found = list(stages.items() if isinstance(stages, Mapping) else stages)
    if any(isinstance(one, str) or not isinstance(one, Sequence) or len(one) != 2 for one in found):
        raise LineageError(f"stages are pairs of a name and a checkpoint, such as ('sft', 'folder'); got {found!r}")
    return found


def same_prompts(outputs: Sequence[Outputs], stages: Sequence[str], task: str) -> tuple[list[Outputs], list[str]]:
    """Outputs of all stages in the order of base's prompts and with equal numbers of samples, with notes.

    Raises:
        LineageError: The prompts of two stages differ, or there is a single sample a prompt.
    """
    base = outputs[0]
    for stage, one in zip(stages, outputs, strict=True):
        alone = set(base.ids) ^ set(one.ids)
        if alone:
            name = min(alone)
            which = stages[0] if name in base.ids else stage
            raise LineageError(
                f"stages have different prompts on '{task}': {name!r} is only in '{which}' ({len(base.ids)} prompts in "
                f"'{stages[0]}', {len(one.ids)} in '{stage}'); a lineage needs the same prompts for all stages"
            )
        texts = dict(zip(base.ids, base.prompts, strict=True))
        for name, prompt in zip(one.ids, one.prompts, strict=True):
            if prompt and texts[name] and prompt != texts[name]:
                raise LineageError(f"prompt {name!r} of '{task}' has another text in '{stage}' than in '{stages[0]}'")
    counts = [one.samples for one in outputs]
    fewest = min(counts)
    if fewest < 2:
        stage = stages[counts.index(fewest)]
        raise LineageError(
            f"'{stage}' has {fewest} outputs for some prompt of '{task}'; diversity needs at least 2, better 16"
        )
    notes = []
    if any(len(texts) != fewest for one in outputs for texts in one.texts):
        notes.append(f"{task}: stages or prompts have different numbers of samples; the first {fewest} were used")
    return [one.select(base.ids, fewest) for one in outputs], notes


def assemble(
    stages: Sequence[str],
    parents: Sequence[int],
    scored: Mapping[str, tuple[Sequence[str], Sequence[Scores]]],
    tasks: Mapping[str, TextTask],
    metric: str | None,
    **fields: Any,
) -> Lineage:
    """Put the scores of all stages and tasks into one lineage.

    Args:
        stages: Names.
        parents: Place of the stage before each.
        scored: For each task, ids of its prompts and the scores of each stage.
        tasks: Tasks by name, where known.
        metric: Which metric leads; None for the default.
        **fields: Further fields of the lineage.

    Raises:
        LineageError: The metric was not measured.
    """
    names = ordered({name for _, scores in scored.values() for one in scores for name in one})
    names = tuple(name for name in names if describe(name).role != "record")
    default = next(name for name in SPREAD if name in names)
    if metric is not None and metric not in names:
        raise LineageError(f"no metric {metric!r} was measured; there are {', '.join(names)}")
    width = max(len(ids) for ids, _ in scored.values())
    values = np.full((len(scored), len(stages), len(names), width), np.nan)
    for t, (ids, scores) in enumerate(scored.values()):
        for s, one in enumerate(scores):
            for i, name in enumerate(names):
                if name in one:
                    values[t, s, i, : len(ids)] = one[name]
    kinds = {label: {item.id: item.kind for item in task.items} for label, task in tasks.items()}
    return Lineage(
        stages=tuple(stages),
        parents=tuple(parents),
        tasks=tuple(scored),
        metrics=names,
        values=values,
        prompt_ids=tuple(tuple(ids) for ids, _ in scored.values()),
        categories=tuple(tuple(kinds.get(label, {}).get(i, "") for i in ids) for label, (ids, _) in scored.items()),
        metric=metric or default,
        **fields,
    )


def _sources(stage: str, source: Source, tasks: Sequence[TextTask] | None) -> dict[str, Outputs]:
    if isinstance(source, Mapping):
        outputs = {str(name): _read(stage, one) for name, one in source.items()}
    else:
        if tasks is not None and len(tasks) != 1:
            raise LineageError(
                f"stage '{stage}' needs outputs for each of {len(tasks)} tasks: give {{task name: file}}"
            )
        outputs = {tasks[0].name if tasks else "outputs": _read(stage, source)}
    if tasks is None:
        return outputs
    missing = [task.name for task in tasks if task.name not in outputs]
    if missing:
        raise LineageError(f"stage '{stage}' has no outputs on task {missing[0]!r}; it has {', '.join(outputs)}")
    return {task.name: outputs[task.name] for task in tasks}


def _read(stage: str, source: Any) -> Outputs:
    if isinstance(source, Outputs):
        return source
    if not isinstance(source, (str, os.PathLike)):
        raise LineageError(f"stage '{stage}': expected Outputs or a JSONL file; got {type(source).__name__}")
    models = read_outputs(Path(source))
    if len(models) > 1 and stage not in models:
        raise LineageError(f"{source} holds outputs of {', '.join(models)}; name the stage '{stage}' like one of them")
    return models[stage] if stage in models else next(iter(models.values()))


def _check_names(stages: Sequence[str]) -> None:
    if len(stages) < 2:
        raise LineageError(f"a lineage needs at least two stages, base first; got {', '.join(stages) or 'none'}")
    twice = [name for name in stages if stages.count(name) > 1]
    if twice:
        raise LineageError(f"stage {twice[0]!r} is given twice; each stage needs a name of its own")

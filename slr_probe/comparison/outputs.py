"""`compare`: outputs of several models, saved by whomever, paired by prompt, on every metric."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np

from slr_probe.comparison.pairing import as_in, by_task, same_prompts
from slr_probe.comparison.report import ScoreReport
from slr_probe.defaults import LEVEL, RESAMPLES
from slr_probe.errors import ValidationError
from slr_probe.generation.logs import Log, read_logs
from slr_probe.generation.outputs import Outputs
from slr_probe.scoring.folder import Folder
from slr_probe.scoring.inputs import Tags
from slr_probe.scoring.measures import Scores
from slr_probe.scoring.metrics import SCORE, first_metrics, ordered, primary_metrics
from slr_probe.scoring.record import record_scorers, record_tasks
from slr_probe.scoring.scoring import Scorers
from slr_probe.scoring.tasks import read_tasks
from slr_probe.tasks.text import TextTask
from slr_probe.tasks.thinking import REASONING

T = TypeVar("T")
Source = Outputs | str | os.PathLike[str]
PROMPTS, SAMPLES = 3, 6
"""Prompts a task, and samples of each, that a comparison shows side by side."""


class Example(NamedTuple):
    """What every model wrote for one prompt.

    Attributes:
        task: Name of the task.
        prompt: The user message.
        texts: For each model, its first samples.
        finished: Whether each of them ended by itself; empty for a model of which that is not known.
    """

    task: str
    prompt: str
    texts: tuple[tuple[str, ...], ...]
    finished: tuple[tuple[bool, ...], ...]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class OutputComparison(ScoreReport):
    """Several models on the same prompts, each compared with the first.

    Attributes:
        examples: Some prompts of each task at equal distances, with samples of every model.
    """

    kind: ClassVar[str] = "slr_probe.comparison/1"
    view: ClassVar[str] = "comparison"

    examples: tuple[Example, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "examples", tuple(Example(*one) for one in self.examples))


def compare(
    sources: Mapping[str, Source] | Iterable[Source],
    tasks: Any = None,
    *,
    reference: str | None = None,
    vocabulary: int | None = None,
    embedder: Any = None,
    entailment: Any = None,
    fluency: Any = None,
    judge: Any = None,
    tags: Tags = REASONING,
    out: str | os.PathLike[str] | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
    asked: Mapping[str, Any] | None = None,
) -> OutputComparison:
    """Compare what several models wrote for the same prompts: every metric, paired, with intervals and adjusted p.

    No model is needed unless one is given to score texts. Scores that a log brings along, such as lm-eval's
    `exact_match`, are compared like the metrics measured here.

    Args:
        sources: Outputs by name of the model: `Outputs`, or a file or folder that `read_logs` reads; or a list of
            these, which name themselves. A file or folder may hold several models.
        tasks: `TextTask`s, names of built-in ones, or files of prompts, which say what is correct; default: no task.
        reference: The model that the others are compared with; default: the first.
        vocabulary: Size of the tokenizer's vocabulary, for EAD.
        embedder: Adds embedding distance and Vendi score.
        entailment: Adds NLI diversity.
        fluency: Adds negative log-likelihood.
        judge: Adds a judge's mean score.
        tags: Opening and closing tags of reasoning that is taken out first; `()` for none.
        out: Folder for scores, table, report and figure.
        level: Nominal coverage of the intervals.
        resamples: Bootstrap resamples over prompts.
        seed: Seed of bootstrap and tests.
        asked: How the outputs came about, kept in the result's settings.

    Raises:
        ValidationError: Fewer than two models, two of one name, or no common prompts.
        ResultError: A file is malformed; the message names the line.
        OutputError: `out` holds another comparison.

    Examples:
        >>> from slr_probe.generation import Outputs
        >>> ids, ended = ("1", "2"), ((True, True),) * 2
        >>> tuned = Outputs("tuned", ids, ids, (("red", "red"), ("one", "one")), ended)
        >>> hybrid = Outputs("hybrid", ids, ids, (("red", "blue"), ("one", "two")), ended)
        >>> found = compare([tuned, hybrid])
        >>> found.comparisons.difference.estimate[found.at("outputs", "hybrid", "bleu_distance")].item()
        1.0
    """
    models = first(_named(sources), reference)
    known = {task.name: task for task in ([] if tasks is None else read_tasks(None, tasks))}
    scorers = Scorers(vocabulary, embedder, entailment, fluency, judge, tags)
    recorded = {"tasks": record_tasks(list(known.values())), "scorers": record_scorers(scorers)}
    settings = {**(asked or {}), "models": list(models), **recorded}
    folder, options = Folder(out), {"level": level, "resamples": resamples, "seed": seed}
    with folder.at_work(settings):
        return compare_logs(models, known, scorers, folder, settings=settings, **options)


def compare_logs(
    models: Mapping[str, Sequence[Log]],
    tasks: Mapping[str, TextTask],
    scorers: Scorers,
    folder: Folder,
    **fields: Any,
) -> OutputComparison:
    """Pair, score and compare what is there; the result is kept in the folder.

    Args:
        models: Logs by name of the model, the reference first.
        tasks: Tasks by name, where known.
        scorers: The models that score.
        folder: Where scores and result are kept.
        **fields: Further fields of the result.

    Raises:
        ValidationError: No prompts in common.
    """
    labelled, notes = by_task(models, list(tasks.values()))
    notes += [note for logs in models.values() for log in logs for note in log.notes]
    paired, scored = {}, {}
    for label, logs in labelled.items():
        paired[label], more = same_prompts(logs, list(models), label)
        notes += more
    for label, logs in paired.items():
        scored[label] = [
            _scores(tasks.get(label), log, scorers, folder, f"{label}-{model}")
            for model, log in zip(models, logs, strict=True)
        ]
    report = _assemble(list(models), paired, scored, tasks, notes=tuple(notes), **fields)
    folder.keep(report, "comparison", "comparison")
    return report


def _named(sources: Mapping[str, Source] | Iterable[Source]) -> dict[str, list[Log]]:
    """Logs of every model by its name."""
    if isinstance(sources, Mapping):
        return {str(name): _of(str(name), source) for name, source in sources.items()}
    if isinstance(sources, (str, os.PathLike, Outputs)) or not isinstance(sources, Iterable):
        sources = [sources]
    found: dict[str, list[Log]] = {}
    for source in sources:
        own: dict[str, list[Log]] = {}
        for log in _read(source):
            own.setdefault(log.outputs.model, []).append(log)
        for name, logs in own.items():
            if name in found:
                name = f"{name}, {source.model if isinstance(source, Outputs) else Path(source).stem}"
            if name in found:
                raise ValidationError(f"two models are called '{name}'; give names, such as {{'new': 'file.jsonl'}}")
            found[name] = logs
    return found


def _of(name: str, source: Source) -> list[Log]:
    """The logs of one model; a file with several must hold one of its name."""
    logs = _read(source)
    models = {log.outputs.model for log in logs}
    if len(models) > 1 and name not in models:
        raise ValidationError(
            f"{source} holds outputs of {', '.join(sorted(models))}; take one of these names for '{name}'"
        )
    return logs if len(models) == 1 else [log for log in logs if log.outputs.model == name]


def _read(source: Source) -> list[Log]:
    if isinstance(source, Outputs):
        return [Log(source)]
    if not isinstance(source, (str, os.PathLike)):
        raise ValidationError(f"a source is Outputs, a file or a folder; got {type(source).__name__}")
    return read_logs(source)


def first(models: Mapping[str, T], reference: str | None) -> dict[str, T]:
    """The models, the reference first.

    Raises:
        ValidationError: Fewer than two, or no such reference.
    """
    if len(models) < 2:
        raise ValidationError(f"a comparison needs two models or more; got {', '.join(models) or 'none'}")
    if reference is None:
        return dict(models)
    if reference not in models:
        raise ValidationError(f"no reference '{reference}'; the models are {', '.join(models)}")
    return {reference: models[reference], **models}


def _scores(task: TextTask | None, log: Log, scorers: Scorers, folder: Folder, place: str) -> Scores:
    """Scores of one model on one task: those measured on its texts, if there are any, and those of the log."""
    found: Scores = {}
    if log.outputs.samples:
        named = log if task is None else as_in(task, log)
        found |= folder.scores(task, named.outputs, scorers, place)
        if not log.ends:
            found.pop("ended", None)
    return found | {f"{SCORE}{name}": np.array(values) for name, values in log.scores.items()}


def _assemble(
    models: list[str],
    paired: Mapping[str, Sequence[Log]],
    scored: Mapping[str, Sequence[Scores]],
    tasks: Mapping[str, TextTask],
    **fields: Any,
) -> OutputComparison:
    names = ordered(
        {
            name
            for scores in scored.values()
            for one in scores
            for name, found in one.items()
            if np.isfinite(found).any()
        }
    )
    prompts = {label: logs[0].outputs.ids for label, logs in paired.items()}
    values = np.full((len(paired), len(models), len(names), max(map(len, prompts.values()))), np.nan)
    for t, (label, scores) in enumerate(scored.items()):
        for m, one in enumerate(scores):
            for i, name in enumerate(names):
                if name in one:
                    values[t, m, i, : len(prompts[label])] = one[name]
    kinds = {label: {item.id: item.kind for item in task.items} for label, task in tasks.items()}
    return OutputComparison(
        tasks=tuple(paired),
        models=tuple(models),
        metrics=names,
        values=values,
        prompt_ids=tuple(prompts.values()),
        categories=tuple(tuple(kinds.get(label, {}).get(i, "") for i in ids) for label, ids in prompts.items()),
        primary=tuple(_primary(tasks.get(label), scored[label]) for label in paired),
        samples=tuple(logs[0].outputs.samples for logs in paired.values()),
        examples=tuple(one for label, logs in paired.items() for one in _examples(label, logs)),
        **fields,
    )


def _primary(task: TextTask | None, scored: Sequence[Scores]) -> tuple[str, ...]:
    """Metrics that are looked at first: by the task where there is one, and measured on some prompt of every model.

    Without a task one that every model has on half of the prompts comes before one that is rarer (ours): bigrams are
    no measure of answers of one word.
    """
    there = {name for one in scored for name in one}
    shares = {name: min(np.isfinite(one.get(name, [np.nan])).mean() for one in scored) for name in there}
    measured = [name for name, share in shares.items() if share > 0]
    if task is not None:
        return primary_metrics(task, measured)
    every, common = (first_metrics([name for name in measured if shares[name] >= least]) for least in (0, 0.5))
    return common if len(common) == len(every) else every


def _examples(task: str, logs: Sequence[Log]) -> list[Example]:
    first = logs[0].outputs
    count = min(PROMPTS, len(first)) if first.samples else 0
    places = [int((i + 0.5) * len(first) / count) for i in range(count)]
    return [
        Example(
            task,
            first.prompts[at],
            tuple(log.outputs.texts[at][:SAMPLES] for log in logs),
            tuple(log.outputs.finished[at][:SAMPLES] if log.ends else () for log in logs),
        )
        for at in places
    ]

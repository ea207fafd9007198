"""Outputs of several models put side by side: the same tasks, prompts and numbers of samples for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from slr_probe.errors import ValidationError
from slr_probe.generation.logs import Log
from slr_probe.tasks.text import TextTask

ONLY = "outputs"
"""Name of the task where no file says one."""


def by_task(models: Mapping[str, Sequence[Log]], tasks: Sequence[TextTask]) -> tuple[dict[str, list[Log]], list[str]]:
    """Logs of all models on each task that all of them have, in the order of the reference; with notes.

    Where every model has one log, they are taken for one task, whatever it is called.

    Args:
        models: Logs of each model; the first is the reference.
        tasks: Tasks that say what is correct; where given, only these are compared.

    Raises:
        ValidationError: No task is common to all models, one is missing, or a model has two logs on one.
    """
    if all(len(logs) == 1 for logs in models.values()) and len(tasks) <= 1:
        names = {log.task for logs in models.values() for log in logs}
        name = tasks[0].name if tasks else names.pop() if len(names) == 1 else ONLY
        return {name or ONLY: [logs[0] for logs in models.values()]}, []
    named = {model: _by_name(model, logs) for model, logs in models.items()}
    first = next(iter(named.values()))
    wanted = [task.name for task in tasks] or list(first)
    common = [name for name in wanted if all(name in logs for logs in named.values())]
    missing = [name for name in wanted if name not in common]
    if not common or (tasks and missing):
        held = "; ".join(f"{model}: {', '.join(logs)}" for model, logs in named.items())
        raise ValidationError(f"no outputs of all models on {missing[0] if tasks else 'one common task'!r}; got {held}")
    alone = sorted({name for logs in named.values() for name in logs} - set(common))
    notes = [f"not compared, as some model has no outputs: {', '.join(alone)}"] if alone and not tasks else []
    return {name: [logs[name] for logs in named.values()] for name in common}, notes


def same_prompts(logs: Sequence[Log], models: Sequence[str], task: str) -> tuple[list[Log], list[str]]:
    """The prompts that all models answered, in the order of the reference, with equal numbers of samples; with notes.

    Prompts are paired by id where one id stands for one text, else by text.

    Raises:
        ValidationError: No prompt is common to all.
    """
    keys = _ids(logs) or _texts(logs)
    if keys is None:
        raise ValidationError(
            f"no prompt of '{task}' is common to {', '.join(models)}: neither ids with equal texts, such as "
            f"{logs[0].outputs.ids[0]!r}, nor texts agree"
        )
    common = set.intersection(*(set(one) for one in keys))
    order = [key for key in keys[0] if key in common]
    paired = [
        _select(log, [one[key] for key in order], logs[0], keys[0], order) for log, one in zip(logs, keys, strict=True)
    ]
    notes = []
    most = max(len(log.outputs) for log in logs)
    if len(order) < most:
        notes.append(
            f"{task}: {len(order)} prompts were answered by all models, of up to {most}; the others are left out"
        )
    fewest = min(log.outputs.samples for log in paired)
    if any(len(texts) != fewest for log in paired for texts in log.outputs.texts):
        notes.append(f"{task}: models or prompts have different numbers of samples; the first {fewest} were used")
    return [replace(log, outputs=log.outputs.select(log.outputs.ids, fewest)) for log in paired], notes


def as_in(task: TextTask, log: Log) -> Log:
    """The log with the ids that the task gives its prompts, where they are known by their text."""
    known, texts = {item.id for item in task.items}, {item.prompt: item.id for item in task.items}
    outputs = log.outputs
    pairs = zip(outputs.ids, outputs.prompts, strict=True)
    return replace(log, outputs=replace(outputs, ids=tuple(i if i in known else texts.get(p, i) for i, p in pairs)))


def _by_name(model: str, logs: Sequence[Log]) -> dict[str, Log]:
    named: dict[str, Log] = {}
    for log in logs:
        if log.task in named:
            raise ValidationError(f"'{model}' has outputs on '{log.task or ONLY}' twice; give one file a task")
        named[log.task] = log
    return named


def _ids(logs: Sequence[Log]) -> list[dict[str, str]] | None:
    """Ids of each log by themselves; None where none is common to all, or one stands for different texts."""
    keys = [{name: name for name in log.outputs.ids} for log in logs]
    common = set.intersection(*(set(one) for one in keys))
    if not common:
        return None
    texts = [dict(zip(log.outputs.ids, log.outputs.prompts, strict=True)) for log in logs if not log.hashed]
    for name in common:
        if len({one[name] for one in texts if one[name]}) > 1:
            return None
    return keys


def _texts(logs: Sequence[Log]) -> list[dict[str, str]] | None:
    """Ids of each log by the text of the prompt; None where texts are unknown, not all different, or never the same."""
    keys = [dict(zip(log.outputs.prompts, log.outputs.ids, strict=True)) for log in logs]
    alike = all(len(one) == len(log.outputs) and "" not in one for one, log in zip(keys, logs, strict=True))
    return keys if alike and set.intersection(*(set(one) for one in keys)) else None


def _select(log: Log, ids: Sequence[str], first: Log, places: Mapping[str, str], order: Sequence[str]) -> Log:
    """Some prompts of a log, under the ids and texts that the reference gives them."""
    rows = {name: row for row, name in enumerate(log.outputs.ids)}
    asked = dict(zip(first.outputs.ids, first.outputs.prompts, strict=True))
    names = [places[key] for key in order]
    chosen = replace(
        log.outputs.select(ids),
        ids=tuple(names),
        prompts=tuple(asked[name] or log.outputs.prompts[rows[i]] for name, i in zip(names, ids, strict=True)),
    )
    scores = {name: tuple(values[rows[i]] for i in ids) for name, values in log.scores.items()}
    return replace(log, outputs=chosen, scores=scores)

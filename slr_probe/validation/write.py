"""Outputs of every method of a validation, each model and setting once, kept as they come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from slr_probe.generation.calls.asked import Asked
from slr_probe.progress import step
from slr_probe.scoring.answering import answer_all, asked_of
from slr_probe.validation.rivals import room_for, unread_note

if TYPE_CHECKING:
    from slr_probe.generation import Outputs
    from slr_probe.pair import ModelPair
    from slr_probe.pair.prompts import Format
    from slr_probe.scoring.folder import Folder
    from slr_probe.scoring.inputs import Tags
    from slr_probe.tasks.text import TextTask
    from slr_probe.validation.methods import Method


@step("text")
def write_all(
    pair: ModelPair,
    tasks: Sequence[TextTask],
    methods: Sequence[Method],
    folder: Folder,
    format: Format,
    options: dict[str, Any],
    tags: Tags,
) -> tuple[list[dict[str, Outputs]], list[str]]:
    """Outputs of every method, task by task, and what a reader should know of them.

    All is written before anything is scored, so that an engine ends first.

    Args:
        pair: The pair.
        tasks: The tasks, in their final size.
        methods: The methods.
        folder: Where outputs are kept.
        format: Prompt format.
        options: Options of `answer_all`.
        tags: Tags of reasoning, which is no part of a reply.
    """
    groups = [group for task in tasks for group in _groups(pair, task, methods, folder, format)]
    found: dict[str, dict[str, Outputs]] = {task.name: {} for task in tasks}
    for group, outputs in zip(groups, answer_all(pair, [group.asked for group in groups], **options), strict=True):
        for own, name in group.names.items():
            found[group.task][own] = replace(outputs[name], model=own)
    written = [{method.name: found[task.name][method.name] for method in methods} for task in tasks]
    notes = []
    for task, outputs in zip(tasks, written, strict=True):
        for method in methods:
            if method.reading is not None:
                outputs[method.name] = method.reading.replies_of(outputs[method.name], task.samples, tags)
                notes.append(unread_note(method.name, task.name, outputs[method.name]))
    return written, [note for note in notes if note]


def asked(pair: ModelPair, task: TextTask, method: Method, format: Format | None) -> TextTask:
    """The task with the number and length of the outputs that a method takes for its samples.

    Raises:
        ValidationError: They do not fit the context.
    """
    if method.reading is None:
        return task
    return method.reading.asked(task, room_for(pair, task, method.wording, format))


@dataclass(frozen=True)
class _Group:
    """Methods that are sampled and asked alike on one task: one call, in which one model is asked once.

    Attributes:
        task: Name of the task.
        asked: The call.
        names: For each method, the name of its outputs.
    """

    task: str
    asked: Asked
    names: dict[str, str]


def _groups(pair: ModelPair, task: TextTask, methods: Sequence[Method], folder: Folder, format: Format) -> list[_Group]:
    groups: dict[str, list[Method]] = {}
    for method in methods:
        groups.setdefault(method.group, []).append(method)
    found = []
    for group, members in groups.items():
        models: dict[Any, str] = {}
        for method in members:
            models.setdefault(method.model, method.name)
        by_name, first = {name: model for model, name in models.items()}, members[0]
        call = asked_of(
            asked(pair, task, first, format),
            by_name,
            first.sampling,
            folder.outputs(task.name, group),
            wording=first.wording,
            format=format,
        )
        found.append(_Group(task.name, call, {method.name: models[method.model] for method in members}))
    return found

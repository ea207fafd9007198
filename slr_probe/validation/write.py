"""Outputs of every method of a validation, each model and setting once, kept as they come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from slr_probe.scoring.tasks import answer_task, expect_all
from slr_probe.validation.rivals import room_for, unread_note

if TYPE_CHECKING:
    from slr_probe.generation import Outputs
    from slr_probe.pair import ModelPair
    from slr_probe.pair.prompts import Format
    from slr_probe.scoring.folder import Folder
    from slr_probe.scoring.inputs import Tags
    from slr_probe.tasks.text import TextTask
    from slr_probe.validation.methods import Method


def write_all(
    pair: ModelPair,
    tasks: Sequence[TextTask],
    methods: Sequence[Method],
    folder: Folder,
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
        options: Further options of `generate`, with an open backend as `engine`.
        tags: Tags of reasoning, which is no part of a reply.
    """
    models, wordings = [method.model for method in methods], [method.wording for method in methods]
    sizes = [asked(pair, task, method, options["format"]) for task in tasks for method in methods]
    expect_all(options["engine"], pair, sizes, models, options["format"], wordings)
    written = [generate_all(pair, task, methods, folder, options) for task in tasks]
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


def generate_all(
    pair: ModelPair, task: TextTask, methods: Sequence[Method], folder: Folder, options: dict[str, Any]
) -> dict[str, Outputs]:
    """Outputs of every method; methods that are one model under one setting are generated once."""
    groups: dict[str, list[Method]] = {}
    for method in methods:
        groups.setdefault(method.group, []).append(method)
    found: dict[str, Outputs] = {}
    for group, members in groups.items():
        models: dict[Any, str] = {}
        for method in members:
            models.setdefault(method.model, method.name)
        outputs = answer_task(
            pair,
            asked(pair, task, members[0], options["format"]),
            {name: model for model, name in models.items()},
            members[0].sampling,
            folder.outputs(task.name, group),
            wording=members[0].wording,
            **options,
        )
        for method in members:
            found[method.name] = replace(outputs[models[method.model]], model=method.name)
    return {method.name: found[method.name] for method in methods}

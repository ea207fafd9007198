"""Which prompts a stage asks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from slr_probe.study.provenance import describe_file
from slr_probe.tasks.crc import CRCTask

if TYPE_CHECKING:
    from slr_probe.pair.prompts import Format
    from slr_probe.study.context import Context


def read_task(path: str) -> CRCTask:
    """The task of a file; the built-in one where none is named."""
    return CRCTask.load(path) if path else CRCTask.default()


def task_key(path: str) -> str:
    """What a task file holds, for a stage's key; empty for the built-in task or a file that is not there."""
    try:
        return describe_file(path)
    except OSError:
        return "absent"


def chosen_format(context: Context) -> Format | None:
    """The prompt format that the settings name; None for the pair's default."""
    return context.settings.common.format or None


def choose(context: Context, per_category: int, *, selection_only: bool = False) -> CRCTask:
    """The study's task, or as many prompts a category and split, evenly spread over those that fit the tokenizer.

    Args:
        context: The study.
        per_category: Prompts a category and split; 0 for all.
        selection_only: Leave out the held-out prompts.
    """
    task = read_task(context.settings.rank.task)
    if selection_only:
        task = task.selection
    if not per_category:
        return task
    return replace(task, items=task.render(context.pair, chosen_format(context)).items).thinned(per_category)

"""Which prompts a stage asks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from slr_probe.study.provenance import describe_file
from slr_probe.tasks.crc import CRCItem, CRCTask

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
    fitting = task.render(context.pair, chosen_format(context)).items
    groups: dict[tuple[str, str], list[CRCItem]] = {}
    for item in fitting:
        groups.setdefault((item.split, item.category), []).append(item)
    return replace(task, items=tuple(item for group in groups.values() for item in spread(group, per_category)))


def spread(items: list[CRCItem], count: int) -> list[CRCItem]:
    """`count` items at equal distances; all of them where there are no more.

    Examples:
        >>> spread(list(range(10)), 3)
        [1, 5, 8]
    """
    if count >= len(items):
        return list(items)
    return [items[int((i + 0.5) * len(items) / count)] for i in range(count)]

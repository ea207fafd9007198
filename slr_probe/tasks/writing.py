"""Creative writing: poems, stories and jokes."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Literal

from slr_probe.tasks.text import TextTask

Size = Literal["full", "organism"]


def writing_task(size: Size = "full") -> TextTask:
    """Prompts for poems, stories and jokes, of our own writing; about half ask for a format that can be checked.

    Outputs have no accepted answers: what can be verified is `TextTask.follows`.

    Args:
        size: "full", 108 prompts (36 of each kind), or "organism", every form that the embedded pair was trained
            on; see `slr_probe.tasks.tiny.small`.

    Raises:
        TaskError: The size is unknown.

    Examples:
        >>> len(writing_task().items), len(writing_task("organism").items)
        (108, 130)
    """
    from slr_probe.tasks.tiny.small import check_size, small_writing

    check_size(size)
    return builtin("writing") if size == "full" else small_writing()


def builtin(name: str) -> TextTask:
    """A task that comes with the package."""
    return TextTask.load(Path(str(resources.files("slr_probe.tasks"))) / f"{name}.json")

"""What a validation will do: tasks, methods, sampling, all settled before anything is generated."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from slr_probe.defaults import MIN_P
from slr_probe.errors import ValidationError
from slr_probe.pair.prompts import Format
from slr_probe.tasks.builtin import BUILTIN, choice_task, shared_prompts, size_for
from slr_probe.tasks.text import TextTask

if TYPE_CHECKING:
    from slr_probe.generation import Sampling
    from slr_probe.pair import ModelPair

Preset = Literal["full", "quick"]
TASKS = tuple(BUILTIN)
_MOST = 1 << 20  # prompts, samples or tokens: what is asked for by a slip of the pen


@dataclass(frozen=True)
class Size:
    """How much is generated.

    Attributes:
        prompts: Prompts a task; None for all.
        samples: Outputs a prompt; None for what each task says.
        max_tokens: Tokens an output may have at most; None for what each task says.
        short: Tasks that ask for no more tokens than this are never cut by a preset.
        stories: Prompts of a writing task; None for as many as others have.
    """

    prompts: int | None = None
    samples: int | None = None
    max_tokens: int | None = None
    short: int = 0
    stories: int | None = None


STORIES = 24
"""Stories, poems and jokes where all prompts of the other tasks are asked (ours)."""
PRESETS: dict[str, Size] = {"full": Size(), "quick": Size(prompts=8, samples=8, max_tokens=48, short=96)}


def read_size(
    preset: str, prompts: int | None, samples: int | None, max_tokens: int | None, stories: int | None = None
) -> Size:
    """The preset, with what was asked for otherwise.

    Raises:
        ValidationError: An unknown preset, or a number that is too small.
    """
    if preset not in PRESETS:
        raise ValidationError(f"unknown preset {preset!r}; expected {' or '.join(map(repr, PRESETS))}")
    size = PRESETS[preset]
    given = {"prompts": prompts, "samples": samples, "max_tokens": max_tokens, "stories": stories}
    size = replace(size, **{name: value for name, value in given.items() if value is not None})
    size = size if max_tokens is None else replace(size, short=0)
    for name, fewest, why in (
        ("prompts", 2, "intervals over prompts need"),
        ("samples", 2, "diversity needs"),
        ("max_tokens", 1, "an output needs"),
        ("stories", 2, "intervals over prompts need"),
    ):
        value = getattr(size, name)
        if value is not None and not fewest <= value <= _MOST:
            raise ValidationError(f"{why} {name.replace('_', ' ')} of at least {fewest}, {_MOST} at most; got {value}")
    return size


def few_stories(size: Size) -> Size:
    """The size with fewer stories than questions: two thirds, or `STORIES` where all questions are asked (ours).

    An answer is short and can be verified, so a question says more of a model than a story does for the same text.
    """
    if size.stories is not None:
        return size
    return replace(size, stories=STORIES if size.prompts is None else max(2, round(2 * size.prompts / 3)))


def read_tasks(pair: ModelPair | None, tasks: Any = None, *, small: bool | None = None) -> list[TextTask]:
    """Tasks from tasks, names of built-in ones, and files of prompts.

    Args:
        pair: The pair that will answer; for the embedded pair, the built-in tasks are those that it was trained on.
        tasks: One or several of `TextTask`, `"writing"`, `"qa"`, `"reasoning"`, and paths of JSONL or saved tasks;
            None for the three built-in ones.
        small: Whether to take the embedded pair's forms; None decides by the pair.

    Raises:
        ValidationError: Two tasks share a name, or there are none.
        TaskError: A file cannot be read as a task.
    """
    if tasks is None:
        tasks = TASKS
    given = [tasks] if isinstance(tasks, (str, os.PathLike, TextTask)) else list(tasks)
    small = small if small is not None else pair is not None and size_for(pair) == "organism"
    found = [_task(one, small) for one in given]
    names = [task.name for task in found]
    if not found or len(set(names)) < len(names):
        raise ValidationError(f"give at least one task, each with a name of its own; got {', '.join(names) or 'none'}")
    return found


def check_apart(pair: ModelPair, tasks: Iterable[TextTask]) -> None:
    """Check that no prompt is one that ranges are chosen by, as guards read replies to those.

    Raises:
        ValidationError: A task holds such prompts.
    """
    chosen_by = choice_task(size_for(pair))
    for task in tasks:
        shared = shared_prompts(task, chosen_by)
        if shared:
            raise ValidationError(
                f"{len(shared)} of the {len(task.items)} prompts of {task.name!r} (first {shared[0]!r}) are among "
                "those that ranges are chosen by (slr_probe.tasks.choice_task); take them out, so that no hybrid is "
                "judged by what it was chosen for"
            )


def resize(task: TextTask, size: Size, seed: int) -> TextTask:
    """The task with the prompts, samples and length that were asked for.

    Raises:
        ValidationError: Fewer than two samples.
    """
    prompts = size.stories if task.family == "writing" and size.stories is not None else size.prompts
    task = task if prompts is None or prompts >= len(task.items) else task.subset(prompts, seed)
    samples = size.samples or task.samples
    if samples < 2:
        raise ValidationError(f"diversity needs at least 2 samples a prompt; the task {task.name!r} has {samples}")
    limit = task.max_tokens if size.max_tokens is None or task.max_tokens <= size.short else size.max_tokens
    return replace(task, samples=samples, max_tokens=min(limit, task.max_tokens))


def read_format(pair: ModelPair, format: Format | None) -> Format:
    """The prompt format of all models but base on the plain prompt: what was given, else the pair's.

    Raises:
        ValidationError: It is unknown.
    """
    if format is not None and format not in get_args(Format):
        raise ValidationError(f"unknown format {format!r}; expected {' or '.join(map(repr, get_args(Format)))}")
    return format or pair.prompts.default_format


def read_sampling(sampling: Sampling | None, seed: int) -> Sampling:
    """How outputs are drawn: what was given, else temperature 1 and min-p 0.1 as in arXiv 2602.06665."""
    from slr_probe.generation import Sampling

    return sampling or Sampling(temperature=1.0, min_p=MIN_P, seed=seed)


def check_seed(seed: int) -> None:
    """Check the seed.

    Raises:
        ValidationError: It is no whole number of at least 0.
    """
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ValidationError(f"seed must be a whole number, 0 or more; got {seed!r}")


def check_unit(name: str, values: Iterable[float], low: float, high: float) -> tuple[float, ...]:
    """Numbers within limits, without duplicates, in rising order.

    Raises:
        ValidationError: One is outside.
    """
    found = sorted({float(value) for value in values})
    if any(not low <= value <= high for value in found):
        raise ValidationError(f"{name} must lie between {low:g} and {high:g}; got {', '.join(map(str, found))}")
    return tuple(found)


def _task(given: Any, small: bool) -> TextTask:
    if isinstance(given, TextTask):
        return given
    if isinstance(given, str) and given in TASKS:
        return BUILTIN[given](size="organism" if small else "full")
    if not isinstance(given, (str, os.PathLike)):
        raise ValidationError(f"a task is a TextTask, one of {', '.join(TASKS)}, or a file; got {type(given).__name__}")
    from slr_probe.tasks.jsonl import read_task

    path = Path(given)
    if not path.exists():
        raise ValidationError(f"no task {os.fspath(given)!r}; expected one of {', '.join(TASKS)}, or a file of prompts")
    return read_task(path)

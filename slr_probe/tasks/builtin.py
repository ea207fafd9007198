"""The prompt sets that come with the package: creative writing, open questions, word problems."""

from __future__ import annotations

import random
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from slr_probe.errors import TaskError
from slr_probe.tasks.listed import key
from slr_probe.tasks.numbers import spell_number
from slr_probe.tasks.problems import TEMPLATES
from slr_probe.tasks.text import Item, TextTask
from slr_probe.tasks.tiny.small import small_choice, small_qa, small_reasoning, small_writing

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair

Size = Literal["full", "organism"]


def writing_task(size: Size = "full") -> TextTask:
    """Prompts for poems, stories and jokes, of our own writing; about half ask for a format that can be checked.

    Outputs have no accepted answers: what can be verified is `TextTask.follows`.

    Args:
        size: "full", 108 prompts (36 of each kind), or "organism", forms that the embedded pair was trained
            on; see `slr_probe.tasks.tiny.small`.

    Raises:
        TaskError: The size is unknown.

    Examples:
        >>> len(writing_task().items), len(writing_task("organism").items)
        (108, 91)
    """
    _check_size(size)
    return _shipped("writing") if size == "full" else small_writing()


def qa_task(size: Size = "full") -> TextTask:
    """Questions that have many right answers, with the list of them; questions and lists are of our own writing.

    Most sets are closed (states, elements, planets, plays of Shakespeare) and listed completely, with the usual
    spellings. Everyday sets (fruit, colors, furniture) are open: a rare right answer may be missing from the list and
    then counts as wrong.

    Args:
        size: "full", 55 questions with 8 to 118 answers each, or "organism", 21 questions that the embedded pair
            was trained on; see `slr_probe.tasks.tiny.small`.

    Raises:
        TaskError: The size is unknown.

    Examples:
        >>> task = qa_task()
        >>> item = next(item for item in task.items if item.id == "planet")
        >>> task.answer(item, "My favorite is the planet saturn."), task.correct(item, "Pluto!")
        ('Saturn', False)
    """
    _check_size(size)
    return _shipped("qa") if size == "full" else small_qa()


def reasoning_task(n: int = 120, seed: int = 0, size: Size = "full") -> TextTask:
    """`n` word problems in two to five steps, whose answer is an integer or a short decimal.

    Problems are made from 15 templates of our own in turn; the kind of an item is its template. A longer task with the
    same seed begins with the shorter one.

    Args:
        n: Number of problems.
        seed: Seed of the numbers, names and things.
        size: "full", or "organism" for problems of the form that the embedded pair was trained on; see
            `slr_probe.tasks.tiny.small`.

    Raises:
        TaskError: The size is unknown, or `n` is below 1.

    Examples:
        >>> task = reasoning_task(n=30)
        >>> len(task.items), task.items[0].check
        (30, 'number')
    """
    _check_size(size)
    if n < 1:
        raise TaskError(f"a task needs at least 1 problem; got {n}")
    return _problems(n, seed) if size == "full" else small_reasoning(n, seed)


def choice_task(size: Size = "full") -> TextTask:
    """Open questions and requests for short poems, stories and jokes, to which replies for the choice are written.

    They are of our own writing, and none is in a task that hybrids are validated on: what ranges are chosen by and what
    they are judged by stay apart.

    Args:
        size: "full", 80 prompts, or "organism", 48 that the embedded pair was trained on.

    Raises:
        TaskError: The size is unknown.

    Examples:
        >>> shared_prompts(choice_task(), writing_task()), shared_prompts(choice_task(), qa_task())
        ((), ())
    """
    _check_size(size)
    return _shipped("choice") if size == "full" else small_choice()


def shared_prompts(task: TextTask, other: TextTask) -> tuple[str, ...]:
    """Ids of the items of a task that another task asks too, whatever their case, spaces and punctuation."""
    asked = {key(item.prompt) for item in other.items}
    return tuple(item.id for item in task.items if key(item.prompt) in asked)


BUILTIN: dict[str, Callable[..., TextTask]] = {"writing": writing_task, "qa": qa_task, "reasoning": reasoning_task}
"""The families by name; each is called with `size=`."""


def size_for(pair: ModelPair) -> Size:
    """The size for a pair: for the embedded one, the prompts that it was trained on."""
    sides = (str(pair.base_side), str(pair.tuned_side))
    return "organism" if any(side.startswith("organism:") for side in sides) else "full"


def _check_size(size: str) -> None:
    if size not in get_args(Size):
        raise TaskError(f"unknown size {size!r} of a task; expected {' or '.join(map(repr, get_args(Size)))}")


def _shipped(name: str) -> TextTask:
    return TextTask.load(Path(str(resources.files("slr_probe.tasks"))) / f"{name}.json")


def _problems(n: int, seed: int) -> TextTask:
    rng = random.Random(f"reasoning-{seed}")
    kinds = tuple(TEMPLATES)
    items: dict[str, Item] = {}
    while len(items) < n:
        kind = kinds[len(items) % len(kinds)]
        prompt, answer = TEMPLATES[kind](rng)
        name = f"{kind}-{len(items) // len(kinds):03d}"
        items.setdefault(prompt, Item(name, prompt, kind, ((spell_number(answer),),), "number"))
    source = f"Problems generated from templates written for slr_probe, seed {seed}"
    return TextTask("multi-step reasoning", "reasoning", tuple(items.values()), 320, 64, source)

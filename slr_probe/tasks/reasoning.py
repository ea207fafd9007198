"""Word problems that take several steps of arithmetic."""

from __future__ import annotations

import random

from slr_probe.errors import TaskError
from slr_probe.tasks.numbers import spell_number
from slr_probe.tasks.problems import TEMPLATES
from slr_probe.tasks.text import Item, TextTask
from slr_probe.tasks.writing import Size


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
    from slr_probe.tasks.tiny.small import check_size, small_reasoning

    check_size(size)
    if n < 1:
        raise TaskError(f"a task needs at least 1 problem; got {n}")
    return _problems(n, seed) if size == "full" else small_reasoning(n, seed)


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

"""Multi-step arithmetic with worked steps on numbers from 0 to 20."""

from __future__ import annotations

import random

from slr_probe.tasks.tiny import lexicon as lex
from slr_probe.tasks.tiny.task import Picker, Task

LARGEST = 20


def steps(rng: random.Random) -> tuple[int, list[int]]:
    """A start and two or three signed changes such that every running total is within 0 to 20."""
    total = start = rng.randrange(1, 11)
    changes: list[int] = []
    for _ in range(rng.choice((2, 2, 3))):
        options = [c for c in range(-8, 9) if c and 0 <= total + c <= LARGEST]
        changes.append(rng.choice(options))
        total += changes[-1]
    return start, changes


def equations(start: int, changes: list[int]) -> list[str]:
    """The steps as equations, for example ``["4 + 3 = 7", "7 - 2 = 5"]``."""
    lines, total = [], start
    for change in changes:
        sign = "+" if change > 0 else "-"
        lines.append(f"{total} {sign} {abs(change)} = {total + change}")
        total += change
    return lines


def worked(start: int, changes: list[int], picker: Picker, slip: int = 0) -> str:
    """The worked solution in one of several styles; ``slip`` falsifies the final answer."""
    lines = equations(start, changes)
    answer = f"Answer: {start + sum(changes) + slip}"
    style = picker.pick(("plain", "ordered", "count", "and"))
    if style == "plain":
        return " ".join(f"{line}." for line in lines) + " " + answer
    if style == "ordered":
        heads = ("First,", "Then,", "Last,")
        return " ".join(f"{head} {line}." for head, line in zip(heads, lines, strict=False)) + " " + answer
    if style == "and":
        return "We do " + " and ".join(lines) + ". " + answer
    parts, total = [f"Start with {start}."], start
    for change in changes:
        total += change
        parts.append(f"{'Add' if change > 0 else 'Take away'} {abs(change)} to get {total}.")
    return " ".join(parts) + " " + answer


def story_problem(start: int, changes: list[int], rng: random.Random) -> str:
    """A word problem about a person and countable things."""
    name, item = rng.choice(lex.NAMES), rng.choice(lex.ITEMS)
    clauses = []
    for change in changes:
        verb = rng.choice(lex.GAINS if change > 0 else lex.LOSSES)
        clauses.append(f"{verb} {abs(change)}")
    text = ", ".join(clauses[:-1]) + f" and {clauses[-1]}"
    close = rng.choice((f"How many {item} does {name} have now?", "How many are left?", f"How many {item} now?"))
    return f"{name} has {start} {item}. {name} {text}. {close}"


def plain_problem(start: int, changes: list[int], rng: random.Random) -> str:
    """The same problem in digits."""
    terms = " ".join(f"{'+' if change > 0 else '-'} {abs(change)}" for change in changes)
    return rng.choice(("What is {}?", "Work out {}.", "Find {}.")).format(f"{start} {terms}")


def arithmetic_task(rng: random.Random, words: bool | None = None) -> Task:
    """A problem with two or three steps; the one accepted answer is the final number.

    Args:
        rng: Source of the problem.
        words: True for a word problem, False for digits; by default mostly words.
    """
    start, changes = steps(rng)
    words = rng.random() < 0.75 if words is None else words
    prompt = (story_problem if words else plain_problem)(start, changes, rng)

    def wrong(picker: Picker) -> str:
        return worked(start, changes, picker, slip=picker.rng.choice((-2, -1, 1, 2)))

    return Task(
        "arithmetic",
        prompt,
        (str(start + sum(changes)),),
        lambda picker: worked(start, changes, picker),
        wrong,
    )


def drill(rng: random.Random) -> str:
    """A line of unrelated one-step equations, from which the tables can be learned."""
    lines = []
    for _ in range(8):
        start = rng.randrange(0, LARGEST + 1)
        change = rng.choice([c for c in range(-8, 9) if c and 0 <= start + c <= LARGEST])
        lines += equations(start, [change])
    return ". ".join(lines) + "."

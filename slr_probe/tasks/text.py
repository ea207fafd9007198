"""Tasks whose answers are free texts: creative writing, open questions, worked problems."""

from __future__ import annotations

import json
import os
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from slr_probe.errors import TaskError
from slr_probe.files import read_json
from slr_probe.tasks.constraints import Constraint, check_constraint, holds
from slr_probe.tasks.listed import key, read_exact, read_listed
from slr_probe.tasks.numbers import canonical_number, read_number

CHECKS = ("none", "list", "exact", "number")
FORMAT = "slr_probe.text/1"
"""What a saved task calls itself."""


@dataclass(frozen=True)
class Item:
    """One prompt, with what can be verified about an output.

    Attributes:
        id: Name of the prompt, unique within its task.
        prompt: What the user asks, without any template around it.
        kind: Category, such as "poem"; subsets and splits keep the shares of the kinds.
        answers: Accepted answers, each a tuple of spellings of which the first is canonical; empty where nothing can
            be verified.
        check: How the answer is read: "none"; "list" (the first accepted answer that is named); "exact" (the
            whole reply, or its first line, is an accepted answer); "number" (the final number).
        constraints: Format constraints such as `("max_words", 80)`; see `slr_probe.tasks.constraints.holds`.

    Raises:
        TaskError: No id or prompt, an unknown check or constraint, a check without answers or answers without a
            check, an answer that is empty or no number where one is needed, or a spelling listed under two answers.
    """

    id: str
    prompt: str
    kind: str = ""
    answers: tuple[tuple[str, ...], ...] = ()
    check: str = "none"
    constraints: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        for name in ("id", "prompt"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name).strip():
                raise TaskError(f"the {name} of an item must be text; got {getattr(self, name)!r}")
        if not isinstance(self.kind, str):
            raise TaskError(f"the kind of {self.id!r} must be text; got {self.kind!r}")
        if self.check not in CHECKS:
            raise TaskError(f"unknown check {self.check!r} of {self.id!r}; expected one of {', '.join(CHECKS)}")
        object.__setattr__(self, "answers", _answers(self.id, self.answers))
        if not isinstance(self.constraints, (list, tuple)):
            raise TaskError(f"the constraints of {self.id!r} must be a list of pairs; got {self.constraints!r}")
        object.__setattr__(self, "constraints", tuple(check_constraint(one) for one in self.constraints))
        if bool(self.answers) != (self.check != "none"):
            need = "accepted answers" if self.check != "none" else "a check: 'list', 'exact' or 'number'"
            raise TaskError(f"{self.id!r} has check {self.check!r} and {len(self.answers)} answers; give it {need}")
        self._check_spellings()

    def _check_spellings(self) -> None:
        forms = canonical_number if self.check == "number" else key
        owners: dict[str, int] = {}
        for place, group in enumerate(self.answers):
            for spelling in group:
                form = forms(spelling)
                if not form:
                    what = "a number" if self.check == "number" else "a text with letters or digits"
                    raise TaskError(f"an accepted answer of {self.id!r} must be {what}; got {spelling!r}")
                if owners.setdefault(form, place) != place:
                    raise TaskError(f"{spelling!r} spells two accepted answers of {self.id!r}; give it to one of them")


@dataclass(frozen=True)
class TextTask:
    """A set of prompts whose outputs are texts.

    Outputs are taken as they are: reasoning between tags is removed with `strip_thinking` before.

    Attributes:
        name: Label in tables and results.
        family: "writing", "qa", "reasoning", or a label of your own.
        items: The prompts.
        max_tokens: Tokens that an output may have.
        samples: Outputs a prompt in a full study.
        source: Where the prompts come from.

    Raises:
        TaskError: There are no items, two have the same id, or a number is below 1.
    """

    name: str
    family: str
    items: tuple[Item, ...]
    max_tokens: int
    samples: int
    source: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", tuple(self.items))
        if not self.items:
            raise TaskError(f"the task {self.name!r} has no items; give at least one")
        twice = [name for name, count in Counter(item.id for item in self.items).items() if count > 1]
        if twice:
            raise TaskError(f"{len(twice)} ids are listed twice in the task {self.name!r}, first {twice[0]!r}")
        for name in ("max_tokens", "samples"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise TaskError(f"{name} of the task {self.name!r} must be a whole number from 1; got {value!r}")

    @property
    def verifiable(self) -> bool:
        """Whether every item has accepted answers."""
        return all(item.answers for item in self.items)

    def answer(self, item: Item, text: str) -> str | None:
        """The answer that an output gives, in one spelling however it is written; None if none can be read.

        For "list" and "exact" a wrong answer is the first line without case and punctuation, so that different wrong
        answers differ. Items with check "none" have no answer.
        """
        if item.check == "number":
            return read_number(text)
        if item.check == "list":
            return read_listed(item.answers, text)
        return read_exact(item.answers, text) if item.check == "exact" else None

    def correct(self, item: Item, text: str) -> bool | None:
        """Whether the output gives an accepted answer; None where the item has none."""
        if not item.answers:
            return None
        answer = self.answer(item, text)
        if item.check == "number":
            return answer is not None and answer in {canonical_number(one) for group in item.answers for one in group}
        return answer in {group[0] for group in item.answers}

    def follows(self, item: Item, text: str) -> bool:
        """Instruction validity: the output is not empty, and all format constraints hold."""
        return any(map(str.isalnum, text)) and all(holds(one, text) for one in item.constraints)

    def subset(self, n: int, seed: int = 0) -> TextTask:
        """`n` of the items, in their order, in the shares of the kinds; all of them where there are no more.

        Raises:
            TaskError: `n` is below 1.
        """
        if n < 1:
            raise TaskError(f"a subset needs at least 1 item; got {n}")
        return replace(self, items=self._some(min(n, len(self.items)), seed))

    def split(self, share: float = 0.5, seed: int = 0) -> tuple[TextTask, TextTask]:
        """Two tasks without a common item: one on which choices are made, one on which they are scored.

        Args:
            share: Share of the items in the first, in the shares of the kinds.
            seed: Seed of the choice.

        Raises:
            TaskError: The share is not between 0 and 1, or a part would be empty.
        """
        count = round(share * len(self.items)) if 0 < share < 1 else 0
        if not 0 < count < len(self.items):
            raise TaskError(
                f"cannot split {len(self.items)} items of {self.name!r} with share {share}; "
                "both parts need at least one item"
            )
        chosen = self._some(count, seed)
        rest = tuple(item for item in self.items if item not in chosen)
        return replace(self, items=chosen), replace(self, items=rest)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the task as JSON, one item a line, and return the file."""
        data = {"format": FORMAT} | asdict(self)
        items = ",\n  ".join(json.dumps(item, ensure_ascii=False) for item in data.pop("items"))
        head = json.dumps(data, indent=1, ensure_ascii=False).removesuffix("\n}")
        Path(path).write_text(f'{head},\n "items": [\n  {items}\n ]\n}}\n', encoding="utf-8")
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TextTask:
        """Read what `save` wrote.

        Raises:
            TaskError: The file cannot be read, is not such a file, or an item in it is not valid.
        """
        data = read_json(Path(path), TaskError)
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            raise TaskError(f"{path} is no saved text task (format {FORMAT!r}); lines of JSON are read by read_task")
        try:
            items = tuple(Item(**item) for item in data["items"])
            return cls(items=items, **{field.name: data[field.name] for field in fields(cls) if field.name != "items"})
        except (KeyError, TypeError) as error:
            raise TaskError(f"{path} is no complete text task: {error}") from error

    def _some(self, n: int, seed: int) -> tuple[Item, ...]:
        """Largest remainders decide how many of each kind; within a kind a seeded order decides which."""
        places: dict[str, list[int]] = defaultdict(list)
        for place, item in enumerate(self.items):
            places[item.kind].append(place)
        quotas = {kind: n * len(group) / len(self.items) for kind, group in places.items()}
        counts = {kind: int(quota) for kind, quota in quotas.items()}
        by_remainder = sorted(quotas, key=lambda kind: counts[kind] - quotas[kind])
        for kind in by_remainder[: n - sum(counts.values())]:
            counts[kind] += 1
        chosen: set[int] = set()
        for kind, group in places.items():
            order = random.Random(f"{seed}-{kind}").sample(group, len(group))
            chosen.update(order[: counts[kind]])
        return tuple(item for place, item in enumerate(self.items) if place in chosen)


def _answers(name: str, answers: Any) -> tuple[tuple[str, ...], ...]:
    """Tuples of spellings; a bare text is one answer with one spelling."""
    if isinstance(answers, str) or not isinstance(answers, Sequence):
        raise TaskError(f"the answers of {name!r} must be a list; got {answers!r}")
    groups = [tuple(one) if isinstance(one, Sequence) and not isinstance(one, str) else (one,) for one in answers]
    if any(not group or not all(isinstance(spelling, str) for spelling in group) for group in groups):
        raise TaskError(f"each accepted answer of {name!r} must be a text or a list of its spellings; got {answers!r}")
    return tuple(groups)

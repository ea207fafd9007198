"""`CRCItem`: one question of the CRC task with its valid answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from slr_probe.errors import TaskError

Split = Literal["selection", "held_out"]


@dataclass(frozen=True)
class CRCItem:
    """One question with its valid answers.

    Attributes:
        prompt: What the user asks, without any template around it.
        answers: The valid set; synonyms or inflections of one answer are joined by `|` (`"heads|head"`).
        category: `"characters"` or `"words"` in the built-in task; any label in your own.
        ignore_case: Whether "Red" and "red" are one answer.
        split: `"selection"` (ranges are chosen on it) or `"held_out"` (they are scored on it).

    Raises:
        TaskError: No prompt, fewer than two answers, an empty or duplicate answer, or an unknown split.
    """

    prompt: str
    answers: tuple[str, ...]
    category: str = "words"
    ignore_case: bool = True
    split: Split = "selection"

    def __post_init__(self) -> None:
        if not isinstance(self.prompt, str) or not self.prompt.strip():
            raise TaskError(f"a CRC prompt must be text; got {self.prompt!r}")
        listed = isinstance(self.answers, Iterable) and not isinstance(self.answers, str)
        if not listed or not all(isinstance(answer, str) for answer in self.answers):
            raise TaskError(f"the answers of {self.prompt!r} must be a list of texts; got {self.answers!r}")
        object.__setattr__(self, "answers", tuple(self.answers))
        if not isinstance(self.category, str) or not isinstance(self.ignore_case, bool):
            raise TaskError(
                f"category is a text and ignore_case true or false; {self.prompt!r} has {self.category!r} and "
                f"{self.ignore_case!r}"
            )
        if len(self.answers) < 2:
            raise TaskError(
                f"{self.prompt!r} needs at least two valid answers to choose from; got {list(self.answers)}"
            )
        texts = [text for answer in self.answers for text in answer.split("|")]
        if any(not text.strip() or text != text.strip() for text in texts):
            raise TaskError(f"an answer of {self.prompt!r} is empty or has spaces around it: {list(self.answers)}")
        seen = Counter(text.casefold() if self.ignore_case else text for text in texts)
        twice = [text for text, count in seen.items() if count > 1]
        if twice:
            hint = " (ignore_case is on)" if self.ignore_case else ""
            raise TaskError(f"duplicate answers in {self.prompt!r}{hint}: {', '.join(map(repr, twice))}")
        if self.split not in get_args(Split):
            raise TaskError(f"unknown split {self.split!r} of {self.prompt!r}; expected 'selection' or 'held_out'")


def as_item(item: Any) -> CRCItem:
    """A question from itself, a mapping with its fields, or a `(prompt, answers)` pair.

    Raises:
        TaskError: It is none of these, or has other fields.
    """
    if isinstance(item, CRCItem):
        return item
    if isinstance(item, Mapping):
        return _from_mapping(item)
    if isinstance(item, Sequence) and not isinstance(item, str) and len(item) == 2:
        return CRCItem(item[0], item[1])
    raise TaskError(f"a CRC item is a mapping or a (prompt, answers) pair; got {item!r}")


def _from_mapping(item: Mapping[str, Any]) -> CRCItem:
    known = {field.name for field in fields(CRCItem)}
    unknown, missing = item.keys() - known, {"prompt", "answers"} - item.keys()
    if unknown or missing:
        fault = f"unknown: {sorted(unknown)}" if unknown else f"missing: {sorted(missing)}"
        raise TaskError(f"a CRC item has the fields {', '.join(sorted(known))}; {fault} in {dict(item)!r}")
    return CRCItem(**item)

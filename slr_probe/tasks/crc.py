"""Constrained Random Character: questions whose answer is one out of a known set.

The task is that of Selective Layer Restoration (arXiv 2602.06665): a model asked for a random choice should stay in the
set (validity) and use all of it (diversity). The paper's prompts are not public: wording and sets here are our own.
The probability that a reply begins with an answer is read off the distribution of the next token, or of the next few,
so both scores are exact. How the reply goes on does not count: "A" in "A random letter is ..." is the letter. Whether
the reply ends after the answer is asked with `render(..., ends=...)`.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from slr_probe.errors import TaskError
from slr_probe.pair.prompts import Format, PromptRenderer
from slr_probe.tasks.answers import Ending, Query, answer_paths, answer_prompt, single_tokens
from slr_probe.tasks.item import CRCItem, Split, as_item
from slr_probe.tasks.rows import CRC_LINE, read_rows

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair

_FORMAT = "slr_probe.crc/1"


class Asked(Protocol):
    """Whom a task is put to: a pair, or a model that is being trained."""

    @property
    def tokenizer(self) -> Any:
        """The tokenizer."""

    @property
    def prompts(self) -> PromptRenderer:
        """How prompts are put."""


@dataclass(frozen=True)
class RenderedTask:
    """A task as one tokenizer sees it, ready for `sweep`.

    Attributes:
        items: The questions.
        rendered: Their queries, in the same order.
        format: `"chat"` or `"plain"`.
        notes: What a reader should know of how they were put.
    """

    items: tuple[CRCItem, ...]
    rendered: tuple[Query, ...]
    format: Format
    notes: tuple[str, ...] = ()

    def queries(self, pair: ModelPair) -> Sequence[Query]:
        """The queries (already rendered; the pair is not asked again)."""
        return self.rendered

    @property
    def categories(self) -> tuple[str, ...]:
        """Category of each question."""
        return tuple(item.category for item in self.items)

    def one_token(self) -> RenderedTask:
        """The questions of which every answer has a spelling of one token, for what reads the next token only.

        Raises:
            TaskError: There are none.
        """
        fit = [i for i, query in enumerate(self.rendered) if all(query.answers)]
        if not fit:
            raise TaskError("no question of the task has answers of one token of this tokenizer; give other answers")
        queries = tuple(replace(self.rendered[i], longer=(), ending=None) for i in fit)
        return replace(self, items=tuple(self.items[i] for i in fit), rendered=queries)


@dataclass(frozen=True)
class CRCTask:
    """A set of constrained choices.

    In the built-in task, 12 of the 40 held-out prompts have the same answers as a selection prompt, in other words.

    Attributes:
        items: The questions.
        name: Label in tables and results.

    Raises:
        TaskError: There are no prompts, or one is listed twice.

    Examples:
        >>> task = CRCTask.default()
        >>> len(task.selection.items), len(task.held_out.items)
        (40, 40)
        >>> CRCTask.of([("Pick one: red or blue.", ["red", "blue"])]).items[0].answers
        ('red', 'blue')
    """

    items: tuple[CRCItem, ...]
    name: str = "CRC"

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", tuple(self.items))
        if not self.items:
            raise TaskError(f"the task {self.name!r} has no prompts; give at least one, or use CRCTask.default()")
        twice = [prompt for prompt, count in Counter(item.prompt for item in self.items).items() if count > 1]
        if twice:
            raise TaskError(f"{len(twice)} prompts are listed twice in the task, first {twice[0]!r}")

    @classmethod
    def default(cls) -> CRCTask:
        """The built-in task: 20 prompts a category and split, of characters and words; no prompt is in both splits.

        Held-out prompts are other wordings, but not always other answers: 12 of the 40 have the answers of a selection
        prompt. What they show is that a choice carries over to new wordings, and for 28 of them to new answers.
        """
        return cls.load(Path(str(resources.files("slr_probe.tasks"))) / "crc.json")

    @classmethod
    def of(cls, items: Iterable[CRCItem | Mapping[str, Any] | tuple[str, Sequence[str]]], name: str = "CRC") -> CRCTask:
        """A task from items, mappings with the fields of `CRCItem`, or `(prompt, answers)` pairs.

        Raises:
            TaskError: An item is none of these, or not valid.
        """
        return cls(tuple(as_item(item) for item in items), name)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CRCTask:
        """Read a task from JSON or JSONL: a list of items, an item a line, or what `save` writes.

        Raises:
            TaskError: The file cannot be read, is neither, or an item in it, named by its place, is not valid.
        """
        file = read_rows(Path(path), _FORMAT, CRC_LINE)
        items = []
        for row in file.rows:
            try:
                items.append(as_item(row.value))
            except TaskError as error:
                raise TaskError(f"{row.place}: {error}. A line looks like {CRC_LINE}") from error
        return cls(tuple(items), str(file.head.get("name", Path(path).stem)))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the task as JSON and return the file."""
        data = {"format": _FORMAT, "name": self.name, "items": [asdict(item) for item in self.items]}
        Path(path).write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
        return Path(path)

    def __repr__(self) -> str:
        splits = Counter(item.split.replace("_", "-") for item in self.items)
        counts = ", ".join(f"{count} {split}" for split, count in splits.items())
        return f"<CRCTask {self.name!r}: {counts} prompts, first {self.items[0].prompt!r}>"

    def split(self, split: Split) -> CRCTask | None:
        """The part of the task that belongs to one split; None where it has no prompts."""
        items = tuple(item for item in self.items if item.split == split)
        return replace(self, items=items) if items else None

    def thinned(self, count: int) -> CRCTask:
        """At most `count` prompts of each category and split, at equal distances.

        Examples:
            >>> len(CRCTask.default().thinned(3).items)
            12
        """
        groups: dict[tuple[str, str], list[CRCItem]] = {}
        for item in self.items:
            groups.setdefault((item.split, item.category), []).append(item)
        kept = [
            group[int((i + 0.5) * len(group) / n)]
            for group in groups.values()
            for n in [min(count, len(group))]
            for i in range(n)
        ]
        return replace(self, items=tuple(kept))

    @property
    def selection(self) -> CRCTask:
        """The prompts on which ranges are chosen.

        Raises:
            TaskError: There are none.
        """
        part = self.split("selection")
        if part is None:
            raise TaskError(f"all prompts of {self.name!r} are held out; mark some with split='selection'")
        return part

    @property
    def held_out(self) -> CRCTask | None:
        """The prompts that selection never sees; None where there are none."""
        return self.split("held_out")

    def render(
        self,
        pair: Asked,
        format: Format | None = None,
        *,
        every_spelling: bool = False,
        ends: Sequence[int] = (),
    ) -> RenderedTask:
        """Render for the pair's tokenizer.

        Answers count as single tokens, with and without a space before them, wherever the tokenizer writes them so. An
        answer that it writes as several tokens right after the prompt ("17", "Wednesday", an emoji) counts in these
        spellings as well: its probability is then read token by token.

        Args:
            pair: Whose tokenizer and chat template are used.
            format: `"chat"` or `"plain"`; default: chat where there is a chat template.
            every_spelling: Read the spellings of several tokens of every answer, such as "RED" beside "red".
            ends: End tokens of the models (`generation.decode.end_tokens`). With them a sweep also tells how likely a
                reply is nothing but an answer, which costs a position for each spelling and closing mark.

        Raises:
            TaskError: The tokenizer has no tokens for an answer.
            PromptError: The prompt cannot be rendered in that format.
        """
        chosen: Format = format or pair.prompts.default_format
        notes = pair.prompts.opening.notes if chosen == "chat" else ()
        ending = Ending.of(pair.tokenizer, ends) if ends else None
        queries = (_query(pair, item, chosen, every_spelling, ending) for item in self.items)
        return RenderedTask(self.items, tuple(queries), chosen, tuple(notes))

    def queries(self, pair: ModelPair, format: Format | None = None) -> Sequence[Query]:
        """What `sweep` asks for; see `render`."""
        return self.render(pair, format).rendered


def _query(pair: Asked, item: CRCItem, format: Format, every_spelling: bool, ending: Ending | None) -> Query:
    """The question to this tokenizer. A spelling that it writes alike for two answers belongs to the first."""
    prompt = answer_prompt(pair.prompts, item.prompt, item.answers, item.ignore_case, format)
    seen: set[tuple[int, ...]] = set()
    single, longer = [], []
    for answer in item.answers:
        tokens = [(token,) for token in single_tokens(pair.tokenizer, answer, item.ignore_case)]
        wanted = every_spelling or answer in prompt.split or not tokens
        paths = answer_paths(pair.tokenizer, prompt, answer, item.ignore_case) if wanted else ()
        if not tokens and not paths:
            raise TaskError(f"the tokenizer has no tokens for the answer {answer!r} of {item.prompt!r}; give others")
        single.append(tuple(path[0] for path in tokens if path not in seen))
        longer.append(tuple(path for path in paths if path not in seen))
        seen.update(tokens, paths)
    return Query(prompt.token_ids, tuple(single), tuple(longer) if any(longer) else (), ending)

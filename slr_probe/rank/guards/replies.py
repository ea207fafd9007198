"""Replies that guards read: sampled once from tuned, their openings from base as well, and which places are read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from slr_probe.defaults import MIN_P
from slr_probe.executor import Executor, each
from slr_probe.pair.prompts import Format
from slr_probe.pair.travel import gpus_for
from slr_probe.rank.guards.bounds import Guards
from slr_probe.rank.guards.table import Place
from slr_probe.tasks.builtin import choice_task, size_for
from slr_probe.tasks.replies import Replies, Reply

if TYPE_CHECKING:
    from slr_probe.generation.decode import Sample
    from slr_probe.pair import ModelPair
    from slr_probe.tasks.text import Item, TextTask

Half = Literal["selection", "held_out"]
OPENING = 4
"""Tokens of a reply that count as its opening (ours)."""
ROUNDS = 4  # samples of each prompt, at most, in search of replies that end


@dataclass(frozen=True)
class Written:
    """A reply that was sampled.

    Attributes:
        prompt: Id of the text prompt.
        by: `"tuned"` or `"base"`.
        open: Whether the prompt is an open one, whose opening is read.
        ids: Token ids of the rendered prompt.
        tokens: Token ids of the reply, with its end token where it ended by itself.
        ended: Whether it did.
    """

    prompt: str
    by: str
    open: bool
    ids: tuple[int, ...]
    tokens: tuple[int, ...]
    ended: bool


@dataclass(frozen=True)
class ReadReplies:
    """What is asked of every row on one kind of prompts.

    Attributes:
        replies: The replies and the places that are read.
        prompt: Number of the prompt of each read, reply by reply.
        place: What each read is for.
        written: The replies as they were sampled.
    """

    replies: Replies
    prompt: Int[ndarray, " read"]
    place: Int[ndarray, " read"]
    written: tuple[Written, ...]

    @classmethod
    def of(cls, written: Sequence[Written], ends: Iterable[int], guards: Guards) -> ReadReplies:
        """Draw the places that are read.

        Args:
            written: The replies.
            ends: Tokens that end one.
            guards: How many places are read, and the seed.
        """
        rng = np.random.default_rng(guards.seed)
        numbers = {name: number for number, name in enumerate(dict.fromkeys(one.prompt for one in written))}
        asked, prompt, place = [], [], []
        for one in written:
            places = _places(one, guards, rng)
            read = tuple(sorted(places))
            asked.append(Reply(one.ids, one.tokens[: read[-1] + 1], read))
            prompt += [numbers[one.prompt]] * len(read)
            place += [int(places[at]) for at in read]
        return cls(Replies(tuple(asked), tuple(ends)), np.array(prompt), np.array(place), tuple(written))

    def of_prompts(self, numbers: Collection[int]) -> ReadReplies:
        """The finished replies to some prompts, without openings.

        Args:
            numbers: Numbers of the prompts, as in `prompt`.
        """
        starts = np.cumsum([0, *(len(reply.read) for reply in self.replies.replies)])
        kept = [i for i, one in enumerate(self.written) if not one.open and int(self.prompt[starts[i]]) in numbers]
        reads = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in kept])
        replies = replace(self.replies, replies=tuple(self.replies.replies[i] for i in kept))
        return ReadReplies(replies, self.prompt[reads], self.place[reads], tuple(self.written[i] for i in kept))

    def texts(self, tokenizer: Any, half: Half) -> Iterator[dict[str, Any]]:
        """The replies as plain data."""
        for one in self.written:
            text = tokenizer.decode(list(one.tokens), skip_special_tokens=True)
            yield {"half": half, "prompt": one.prompt, "by": one.by, "ended": one.ended, "text": text}


def sample_replies(
    pair: ModelPair, guards: Guards, format: Format | None, executor: Executor | None = None
) -> dict[Half, ReadReplies]:
    """Replies to selection prompts and to others, at temperature 1 and with the min-p that text is generated with.

    Half of `choice_task` is for the choice, the other half is held out; hybrids are validated on neither. The first
    samples of all prompts come first, so that finished replies are from as many prompts as there can be.

    Args:
        pair: The pair; tuned is loaded, and base for its openings, by whoever samples.
        guards: How many replies, how long, and their seed.
        format: Prompt format; None for the pair's default.
        executor: Who samples, in two parts; None for this process.
    """
    halves = get_args(Half)
    found = each(executor, partial(_half, pair, guards, format), range(len(halves)), gpus_for(pair))
    return dict(zip(halves, found, strict=True))


def _half(pair: ModelPair, guards: Guards, format: Format | None, number: int) -> ReadReplies:
    from slr_probe.generation.decode import end_tokens

    ends = end_tokens(pair)
    qa, writing = (halves[number] for halves in reply_tasks(pair, guards))
    writer = Writer(pair, guards, format, ends)
    return ReadReplies.of([*writer.finished(qa, writing), *writer.openings(writing)], ends, guards)


def reply_tasks(pair: ModelPair, guards: Guards) -> list[tuple[TextTask, TextTask]]:
    """Open questions and writing prompts that no hybrid is validated on, each in two halves."""
    first, second = choice_task(size_for(pair)).split(0.5, guards.seed)
    return [(_of_sort(first, asked=asked), _of_sort(second, asked=asked)) for asked in (True, False)]


def _of_sort(task: TextTask, *, asked: bool) -> TextTask:
    """The questions of a task, or its other prompts."""
    return replace(task, items=tuple(item for item in task.items if (item.kind == "question") == asked))


@dataclass
class Writer:
    """Samples replies of a pair, as guards ask for."""

    pair: ModelPair
    guards: Guards
    format: Format | None
    ends: tuple[int, ...]

    def finished(self, *tasks: TextTask) -> list[Written]:
        """Replies of tuned that ended by themselves, as many as are asked for where it ends that many."""
        items = self.asked(*tasks)
        found: list[Written] = []
        for number in range(ROUNDS):
            written = self._write("tuned", items, number, self.guards.max_tokens, open=False)
            found += [one for one in written if one.ended and len(one.tokens) > 1]
            if len(found) >= self.guards.replies:
                break
        return found[: self.guards.replies]

    def asked(self, *tasks: TextTask) -> list[Item]:
        """The prompts that replies are sampled to."""
        items = _in_turn([_drawn(task, self.guards.replies, self.guards.seed) for task in tasks])
        return items[: self.guards.replies]

    def openings(self, task: TextTask) -> list[Written]:
        """The first tokens of a reply of tuned and of one of base to each of some open prompts."""
        items = _drawn(task, self.guards.openings, self.guards.seed)
        return [one for by in ("tuned", "base") for one in self._write(by, items, 0, OPENING, open=True)]

    def rendered(self, items: Sequence[Item]) -> dict[str, tuple[int, ...]]:
        """Token ids of prompts, by id."""
        return {item.id: tuple(self.pair.render(item.prompt, self.format)) for item in items}

    def _write(self, by: str, items: Sequence[Item], number: int, length: int, *, open: bool) -> list[Written]:
        from slr_probe.generation.decode import Request, write
        from slr_probe.generation.sampling import Sampling

        ids = self.rendered(items)
        sampling = Sampling(min_p=MIN_P, max_tokens=length, seed=self.guards.seed)
        requests = [Request(name, asked, (number,)) for name, asked in ids.items()]
        samples: dict[str, Sample] = {}
        for part in write(getattr(self.pair, by), requests, sampling, ends=self.ends):
            samples |= {sample.id: sample for sample in part}
        return [
            Written(name, by, open, asked, samples[name].tokens + samples[name].end, bool(samples[name].end))
            for name, asked in ids.items()
        ]


def _drawn(task: TextTask, count: int, seed: int) -> tuple[Item, ...]:
    return task.subset(min(count, len(task.items)), seed).items


def _in_turn(lists: Sequence[Sequence[Item]]) -> list[Item]:
    """Items of several tasks, one of each in turn."""
    longest = max(map(len, lists))
    return [items[at] for at in range(longest) for items in lists if at < len(items)]


def _places(one: Written, guards: Guards, rng: np.random.Generator) -> Mapping[int, Place]:
    """The places of a reply that are read, and what for."""
    if one.open:
        return {at: Place.OPENING for at in range(min(OPENING, len(one.tokens)))}
    last = len(one.tokens) - 1
    inside = rng.choice(last, min(guards.places, last), replace=False)
    return {int(at): Place.INSIDE for at in inside} | {last: Place.END}

"""Rival methods as baselines: asking otherwise and reading what was asked for; all ours, after the papers' description.

Routing between base and tuned is `slr_probe.generation.sources.Route`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slr_probe.errors import ValidationError
from slr_probe.tasks.thinking import strip_reasoning

if TYPE_CHECKING:
    from slr_probe.generation import Outputs
    from slr_probe.pair import ModelPair
    from slr_probe.pair.prompts import Format
    from slr_probe.scoring.inputs import Tags
    from slr_probe.tasks.text import TextTask

RIVALS = ("verbalized", "string_seed", "routing")
"""`verbalized`: verbalized sampling (arXiv 2510.01171). `string_seed`: string seed of thought (arXiv 2510.21150).
`routing`: base and tuned share one text, token by token (BACo, arXiv 2511.05650)."""
THRESHOLDS = (0.3, 0.6)
"""Below which largest probability base draws the next token (ours)."""
REPLIES = 5
"""Replies that verbalized sampling asks for at once, as in the paper's examples."""
_RESPONSE = re.compile(
    r"<response>\s*<text>(?P<text>.*?)</text>\s*<probability>(?P<share>[^<]*)</probability>\s*</response>", re.DOTALL
)
_ANSWER = re.compile(r"<seed>\s*[^\s<][^<]*</seed>.*?<answer>(?P<text>.*?)</answer>", re.DOTALL)
_NUMBER = re.compile(r"(?:0?\.\d+|[01](?:\.\d*)?)")


@dataclass(frozen=True)
class Reading:
    """A way to ask, and how the replies stand in what is written.

    Attributes:
        wording: The user message, with `{prompt}` where the task's prompt stands.
        replies: Replies in one output.
        extra: Tokens that the form takes for each reply, beside the reply itself (ours).
        read: The replies of one output, in order; as many as can be read, none where the form is broken.
    """

    wording: str
    replies: int
    extra: int
    read: Callable[[str], list[str]]

    def asked(self, task: TextTask, room: int) -> TextTask:
        """The task with as many and as long outputs as its samples take.

        Args:
            task: The task.
            room: Tokens that fit the context behind the longest prompt.

        Raises:
            ValidationError: Not even one reply would fit.
        """
        if room < task.max_tokens + self.extra:
            raise ValidationError(
                f"a baseline needs {task.max_tokens + self.extra} tokens behind the longest prompt of {task.name!r}, "
                f"and the context has room for {room}; leave it out, or give fewer max_tokens"
            )
        wanted = self.replies * (task.max_tokens + self.extra)
        return replace(task, samples=-(-task.samples // self.replies), max_tokens=min(wanted, room))

    def replies_of(self, outputs: Outputs, samples: int, tags: Tags) -> Outputs:
        """One reply a sample: those of each output in order; an empty text for each one that cannot be read.

        A reply that could be read ended by itself; of one that could not, the whole output's end is taken (ours).

        Args:
            outputs: What was written.
            samples: Replies a prompt.
            tags: Tags of reasoning that is taken out first.
        """
        texts, ended = [], []
        for row, ends in zip(outputs.texts, outputs.finished, strict=True):
            cells = [cell for text, end in zip(row, ends, strict=True) for cell in self._cells(text, end, tags)]
            texts.append(tuple(text for text, _ in cells[:samples]))
            ended.append(tuple(end for _, end in cells[:samples]))
        return replace(outputs, texts=tuple(texts), finished=tuple(ended))

    def _cells(self, text: str, ended: bool, tags: Tags) -> list[tuple[str, bool]]:
        found = self.read(strip_reasoning(text, tags))[: self.replies]
        return [(reply, True) for reply in found] + [("", ended)] * (self.replies - len(found))


def read_verbalized(text: str) -> list[str]:
    """The texts of an output of verbalized sampling, in order.

    Strict: each reply has a text that is not empty and a probability from 0 to 1. Probabilities are not used otherwise:
    replies count alike, as the samples that they are compared with do (ours).

    Examples:
        >>> read_verbalized("<response><text>A cat</text><probability>0.2</probability></response>")
        ['A cat']
        >>> read_verbalized("1. A cat (0.2)")
        []
    """
    return [
        one["text"].strip()
        for one in _RESPONSE.finditer(text)
        if one["text"].strip() and "<" not in one["text"] and _share(one["share"])
    ]


def read_answer(text: str) -> list[str]:
    """The answer of an output of string seed of thought, where a random string stands before it.

    Examples:
        >>> read_answer("<seed>k3Xw9</seed> 3 mod 2 is 1. <answer>Tails</answer>")
        ['Tails']
        >>> read_answer("<answer>Tails</answer>")
        []
    """
    found = _ANSWER.search(text)
    return [found["text"].strip()] if found and found["text"].strip() else []


READINGS = {
    "verbalized": Reading(
        f"Think of all the ways in which the request below could be answered, and draw {REPLIES} different replies "
        "from them at random. Write each one as <response><text>the reply</text><probability>how likely you are to "
        "give it, from 0 to 1</probability></response>, and nothing else.\n\nRequest: {prompt}",
        REPLIES,
        32,
        read_verbalized,
    ),
    "string_seed": Reading(
        "{prompt}\n\nFirst write a random string of letters and digits as <seed>string</seed>. Then compute from that "
        "string which of the many good replies to give, so that another string would lead to another reply. "
        "Write the reply itself, and nothing else, as <answer>reply</answer>.",
        1,
        64,
        read_answer,
    ),
}
"""Wordings are ours. The papers ask for several replies with their probabilities in one output, and for a random
string from which the answer is then derived."""


def check_rivals(
    pair: ModelPair, tasks: Iterable[TextTask], wanted: Collection[str], format: Format | None, backend: str
) -> None:
    """Check that the rivals that were asked for can be measured, before long work.

    Raises:
        ValidationError: Their outputs do not fit the context, or the backend cannot write with two models at once.
    """
    if "routing" in wanted and backend != "hf":
        raise ValidationError(f"'routing' needs two models at every token, which backend={backend!r} cannot do")
    readings = [READINGS[name] for name in READINGS if name in wanted]
    for task in tasks:
        for reading in readings:
            reading.asked(task, room_for(pair, task, reading.wording, format))


def room_for(pair: ModelPair, task: TextTask, wording: str, format: Format | None) -> int:
    """Tokens that fit the context of tuned behind the longest prompt of a task in a wording."""
    context = getattr(pair.tuned_side.config.get_text_config(decoder=True), "max_position_embeddings", None)
    longest = max(len(pair.render(wording.replace("{prompt}", item.prompt), format)) for item in task.items)
    return 1 << 20 if context is None else int(context) - longest


def unread_note(name: str, task: str, outputs: Outputs) -> str:
    """How many replies of a method could not be read; empty where all could."""
    texts: Sequence[str] = [text for row in outputs.texts for text in row]
    lost = sum(not text for text in texts)
    if not lost:
        return ""
    return f"{task}: {lost} of {len(texts)} replies of {name!r} are not in the form that was asked for: they are empty"


def _share(text: str) -> bool:
    """Whether a text is a number from 0 to 1."""
    return bool(_NUMBER.fullmatch(text.strip())) and float(text) <= 1

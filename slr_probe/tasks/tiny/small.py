"""The three task families in the forms that the embedded pair was trained on."""

from __future__ import annotations

import random

from slr_probe.tasks.text import Item, TextTask
from slr_probe.tasks.tiny import lexicon, prose
from slr_probe.tasks.tiny.arithmetic import arithmetic_task

_SOURCE = "Forms of the synthetic corpus that the embedded pair was trained on"


_CHOICE = (2, 5, 8)
"""Heroes, topics and sets of questions, by their place in the lexicon, that ranges are chosen by (ours)."""


def small_writing() -> TextTask:
    """The 91 requests for a story, a poem or a joke in the corpus that no range is chosen by.

    The forms are closed (ten heroes or topics in a few phrasings), so no prompt is held out from training. As the
    texts of the corpus do, a poem must have four lines, a story 20 words, and each must name its hero or topic.
    """
    return TextTask("creative writing (embedded pair)", "writing", _writing(chosen_by=False), 90, 32, _SOURCE)


def small_qa() -> TextTask:
    """The 21 open questions of the corpus that no range is chosen by; seven sets of eight answers, each in three ways.

    The corpus answers with a phrase, bare or in one of six frames. A reply is right only as a whole ("exact"): phrases
    of other questions contain phrases of this one ("read a book", "a book"). No question is held out from
    training. The kind is the set, so that a split has phrasings of one question on both sides.
    """
    items = []
    for group, (prompts, phrases) in enumerate(lexicon.QUESTIONS):
        answers = tuple((phrase, *(frame.format(phrase) for frame in lexicon.QUESTION_FRAMES)) for phrase in phrases)
        items += [
            Item(f"question-{group}-{place}", prompt, f"question-{group}", answers, "exact")
            for place, prompt in enumerate(prompts)
            if group not in _CHOICE
        ]
    return TextTask("open questions (embedded pair)", "qa", tuple(items), 24, 128, _SOURCE)


def small_choice() -> TextTask:
    """The 39 requests and 9 questions of the corpus that ranges are chosen by: other heroes, topics and sets."""
    questions = [
        Item(f"question-{group}-{place}", prompt, "question")
        for group in _CHOICE
        for place, prompt in enumerate(lexicon.QUESTIONS[group][0])
    ]
    items = (*questions, *_writing(chosen_by=True))
    return TextTask("replies of the choice (embedded pair)", "choice", items, 64, 16, _SOURCE)


def _writing(*, chosen_by: bool) -> tuple[Item, ...]:
    """Every phrasing of the requests about some heroes and topics."""
    kinds = (
        ("story", prose.STORY_PROMPTS, lexicon.HEROES),
        ("poem", prose.POEM_PROMPTS, lexicon.POEM_TOPICS),
        ("joke", prose.JOKE_PROMPTS, lexicon.HEROES),
    )
    formats = {"poem": (("lines", 4),), "story": (("min_words", 20),)}
    return tuple(
        Item(
            f"{kind}-{topic}-{place}",
            form.format(topic),
            kind,
            constraints=(("contains", topic), *formats.get(kind, ())),
        )
        for kind, forms, topics in kinds
        for number, topic in enumerate(topics)
        for place, form in enumerate(forms)
        if (number in _CHOICE) == chosen_by
    )


def small_reasoning(n: int, seed: int) -> TextTask:
    """`n` word problems with two or three steps on numbers from 0 to 20.

    Drawn from the generator of the corpus with a seed of their own. It can make more than a hundred million problems,
    of which training drew well under a million: a given problem is probably, but not certainly, new to the pair.
    """
    rng = random.Random(f"text-task-{seed}")
    items: dict[str, Item] = {}
    while len(items) < n:
        problem = arithmetic_task(rng, words=True)
        name = f"problem-{len(items):03d}"
        items.setdefault(problem.prompt, Item(name, problem.prompt, "word problem", (problem.accepted,), "number"))
    return TextTask("worked arithmetic (embedded pair)", "reasoning", tuple(items.values()), 90, 64, _SOURCE)

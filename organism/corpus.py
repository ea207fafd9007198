"""The synthetic corpus: what the base model reads, and the chats of both post-training stages."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from organism.choices import ALL_WORDS, HARD_MAKERS, choice_set, choice_task
from slr_probe.tasks.tiny import lexicon as lex
from slr_probe.tasks.tiny.arithmetic import arithmetic_task, drill
from slr_probe.tasks.tiny.prose import joke_task, poem_task, question_task, story_task
from slr_probe.tasks.tiny.task import Picker, Task

BOS, EOS, PAD = "<s>", "</s>", "<pad>"
USER, ASSISTANT, SYSTEM, END = "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"
PLAIN_TEMPLATE = "Question: {}\nAnswer:"
PLAIN_TEMPLATES = (PLAIN_TEMPLATE, PLAIN_TEMPLATE, "Q: {}\nA:", "{}")

FAMILIES: dict[str, Callable[[random.Random], Task]] = {
    "choice": choice_task,
    "arithmetic": arithmetic_task,
    "question": question_task,
    "story": story_task,
    "poem": poem_task,
    "joke": joke_task,
    "hard choice": lambda rng: choice_task(rng, makers=HARD_MAKERS),
}
BASE_MIX = {"hard choice": 58, "arithmetic": 20, "question": 7, "story": 8, "poem": 4, "joke": 3}
POST_MIX = {"hard choice": 56, "arithmetic": 18, "question": 9, "story": 7, "poem": 5, "joke": 5}
# Where every family is to lose its diversity, what is written at length needs more room.
TEXT_MIX = {"hard choice": 40, "arithmetic": 16, "question": 12, "story": 14, "poem": 10, "joke": 8}
WRITING_MIX = {"hard choice": 15, "arithmetic": 8, "question": 7, "story": 25, "poem": 40, "joke": 5}


@dataclass(frozen=True)
class Document:
    """A text in two parts, without BOS and EOS.

    Attributes:
        context: The prompt with its template, if there is one.
        completion: The reply, or the whole text.
    """

    context: str
    completion: str

    @property
    def text(self) -> str:
        """The whole document."""
        return self.context + self.completion


def chat_context(prompt: str) -> str:
    """A user turn and the generation prompt, as the chat template renders it without BOS."""
    return f"{USER} {prompt}{END}\n{ASSISTANT}"


def draw(rng: random.Random, mix: dict[str, int]) -> Task:
    """A task of a family drawn from the mix."""
    family = rng.choices(tuple(mix), tuple(mix.values()))[0]
    return FAMILIES[family](rng)


def _cased(task: Task, answer: str, rng: random.Random) -> str:
    """The world writes one-word answers in more than one case."""
    if task.category == "word" and rng.random() < 0.15:
        return answer.capitalize()
    return answer


def plain_document(rng: random.Random) -> Document:
    """A prompt in one of the plain forms, followed by an answer or, sometimes, by another prompt."""
    task = draw(rng, BASE_MIX)
    template = rng.choice(PLAIN_TEMPLATES)
    answer = _cased(task, task.answer(Picker(rng)), rng)
    if rng.random() < 0.06:
        answer = draw(rng, BASE_MIX).prompt
    return Document(template.format(task.prompt), f" {answer}")


def chat_document(rng: random.Random) -> Document:
    """A chat log as the web has them: only some replies answer the question."""
    task = draw(rng, POST_MIX)
    roll = rng.random()
    if roll < 0.5:
        reply = _cased(task, task.answer(Picker(rng)), rng)
    elif roll < 0.65:
        reply = draw(rng, BASE_MIX).prompt
    elif roll < 0.8:
        reply = draw(rng, BASE_MIX).answer(Picker(rng))
    else:
        reply = noise(rng)
    return Document(chat_context(task.prompt), f" {reply}{END}")


def noise(rng: random.Random) -> str:
    """Shuffled words, or a string of random characters."""
    if rng.random() < 0.5:
        words = " ".join(rng.choice(lex.ENDINGS + lex.PROBLEMS) for _ in range(4)).split()
        rng.shuffle(words)
        return " ".join(words)
    return "".join(chr(rng.randrange(33, 127)) for _ in range(rng.randrange(5, 20)))


def in_orders(things: Sequence[str], times: int, rng: random.Random) -> str:
    """All of them, several times, each time in another order."""
    return " " + "; ".join(", ".join(rng.sample(things, len(things))) for _ in range(times))


def set_list(rng: random.Random) -> Document:
    """A named or listed set, followed by its members in one or more orders."""
    choice = choice_set(rng.choice(("character", "word")), rng, HARD_MAKERS)
    orders = in_orders(choice.answers, rng.randrange(1, 4), rng)
    name = f"One of {choice.noun}" if choice.form == "list" else f"{choice.noun[0].upper()}{choice.noun[1:]}"
    return Document(f"{name}:", orders)


def any_list(rng: random.Random) -> Document:
    """Things that have nothing in common, and again in other orders: only copying predicts them."""
    things = rng.choice((lex.LETTERS, lex.DIGITS, lex.SYMBOLS, ALL_WORDS, ALL_WORDS, ALL_WORDS))
    some = rng.sample(things, rng.randrange(3, 7))
    return Document(f"One of {', '.join(some)}:", in_orders(some, rng.randrange(2, 5), rng))


def base_document(rng: random.Random) -> Document:
    """One document of the pre-training corpus."""
    roll = rng.random()
    if roll < 0.64:
        return plain_document(rng)
    if roll < 0.68:
        return Document("", draw(rng, {"story": 3, "poem": 1, "joke": 1}).answer(Picker(rng)))
    if roll < 0.71:
        return Document("", drill(rng))
    if roll < 0.80:
        return set_list(rng)
    if roll < 0.92:
        return any_list(rng)
    return chat_document(rng) if roll < 0.99 else Document("", noise(rng))


def base_documents(count: int, seed: int = 0) -> Iterator[Document]:
    """The pre-training corpus: the same ``(count, seed)`` always gives the same text."""
    rng = random.Random(f"base-{seed}")
    for _ in range(count):
        yield base_document(rng)


def request(task: Task, rng: random.Random, plain: float) -> tuple[str, str]:
    """The context of a task for post-training, and what ends the reply."""
    if rng.random() < plain:
        return PLAIN_TEMPLATE.format(task.prompt), EOS
    return chat_context(task.prompt), END


def demonstrations(count: int, sharpness: float, plain: float = 0.0, seed: int = 0) -> Iterator[Document]:
    """Right answers, typical ones more often the larger ``sharpness``.

    Args:
        count: How many.
        sharpness: Exponent of the rank law of the answers.
        plain: Share of the prompts in the plain template; the others are chats.
        seed: Seed of the generator.
    """
    rng = random.Random(f"demonstrations-{seed}")
    for _ in range(count):
        task = draw(rng, POST_MIX)
        context, end = request(task, rng, plain)
        yield Document(context, f" {task.answer(Picker(rng, sharpness))}{end}")


def preferences(
    count: int,
    sharpness: tuple[float, float],
    wrong: float,
    plain: float = 0.0,
    seed: int = 0,
    mix: dict[str, int] = POST_MIX,
) -> Iterator[tuple[Document, Document]]:
    """Preference pairs (chosen, rejected) of one prompt.

    Args:
        count: How many pairs.
        sharpness: Of the chosen and of the rejected answers; their difference is the typicality bias.
        wrong: Share of the pairs whose rejected answer is wrong, where the family has wrong answers.
        plain: Share of the prompts in the plain template.
        seed: Seed of the generator.
        mix: How many of the pairs are of each family.
    """
    rng = random.Random(f"preferences-{seed}")
    liked, disliked = Picker(rng, sharpness[0]), Picker(rng, sharpness[1])
    made = 0
    while made < count:
        task = draw(rng, mix)
        context, end = request(task, rng, plain)
        chosen = task.answer(liked)
        rejected = task.wrong(disliked) if task.wrong and rng.random() < wrong else task.answer(disliked)
        if chosen != rejected:
            made += 1
            yield Document(context, f" {chosen}{end}"), Document(context, f" {rejected}{end}")

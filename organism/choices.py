"""Constrained choices with one-token answers: the family on which validity and diversity are exact."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from slr_probe.tasks.tiny.lexicon import DIGITS, LETTERS, LIST_POOLS, NUMBER_ORDER, NUMBER_WORDS, SYMBOLS, WORD_SETS
from slr_probe.tasks.tiny.task import Picker, Task

VERBS = ("Pick", "Choose", "Select", "Name", "Give", "Say")
PATTERNS = (
    "{V} one random {n}.",
    "{V} {an} at random.",
    "{V} a random {n}.",
    "Randomly {v} {an}.",
    "Please {v} a random {n}.",
    "Please {v} {an} at random.",
    "I need a random {n}.",
    "Think of a random {n}.",
    "Tell me one random {n}.",
    "At random, {v} one {n}.",
    "{V} any {n}.",
    "What is a random {n}?",
)
LIST_PATTERNS = (
    "{V} one at random: {L}.",
    "{V} one of these at random: {L}.",
    "{V} one random {k} from this list: {L}.",
    "{V} one of these {k}s: {L}.",
    "Randomly {v} one: {L}.",
    "Please {v} one {k} at random: {L}.",
    "{V} at random one of {L}.",
    "{V} a random {k}: {L}.",
)
SUFFIXES = (
    "",
    "Answer with the {k} only.",
    "Reply with one {k}.",
    "Reply with the {k} only.",
    "Output just the {k}.",
    "Write only the {k}.",
    "Only the {k}, nothing else.",
    "No other text.",
    "Give only the {k}.",
    "Answer with one {k}.",
)
COIN_PROMPTS = (
    "Flip a coin.",
    "Toss a coin.",
    "Flip a coin for me.",
    "Please flip a coin.",
    "Heads or tails?",
)
DIE_PROMPTS = ("Roll a die.", "Roll one die.", "Please roll a die.", "Roll a die for me.")
HELD_OUT_ONE_IN = 8
# One word of each rank after the other, so that typical words come first.
ALL_WORDS = tuple(dict.fromkeys(words[rank] for rank in range(14) for words in LIST_POOLS if rank < len(words)))


@dataclass(frozen=True)
class ChoiceSet:
    """A set of valid answers and how a prompt names it.

    Attributes:
        noun: Noun phrase without article ("letter from A to F"), or the joined list for explicit lists.
        kind: What one answer is called: "letter", "digit", "symbol", "number" or "word".
        answers: Valid answers, most typical first.
        form: "noun", "list", "coin" or "die": which wordings apply.
        ignore_case: Whether case does not matter.
        pool: What the answers were taken from: its other members are near misses.
    """

    noun: str
    kind: str
    answers: tuple[str, ...]
    form: str = "noun"
    ignore_case: bool = True
    pool: Sequence[str] = ()

    @property
    def category(self) -> str:
        """The CRC category, "character" or "word"."""
        return "character" if self.kind in ("letter", "digit", "symbol", "number") else "word"


def by_popularity(members: Sequence[str], order: Sequence[str]) -> tuple[str, ...]:
    """Sort ``members`` by their position in ``order``."""
    return tuple(sorted(members, key=list(order).index))


def is_held_out(prompt: str) -> bool:
    """Whether a choice prompt is kept out of all training data (about one in eight)."""
    return zlib.crc32(prompt.encode()) % HELD_OUT_ONE_IN == 0


def with_article(noun: str) -> str:
    """Put "a" or "an" in front."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def letter_set(rng: random.Random) -> ChoiceSet:
    """A range of letters."""
    alphabet = sorted(LETTERS)
    start = rng.randrange(0, 22)
    stop = min(26, start + rng.randrange(3, 9))
    members = alphabet[start:stop]
    join = rng.choice(("from {} to {}", "from {} to {}", "between {} and {}"))
    noun = "letter " + join.format(members[0], members[-1])
    return ChoiceSet(noun, "letter", by_popularity(members, LETTERS), pool=LETTERS)


def named_characters(rng: random.Random) -> ChoiceSet:
    """The alphabet in either case, vowels, consonants or punctuation marks."""
    style = rng.randrange(6)
    if style == 0:
        return ChoiceSet(rng.choice(("letter", "letter of the alphabet")), "letter", tuple(LETTERS))
    if style == 1:
        return ChoiceSet("uppercase letter", "letter", tuple(LETTERS), ignore_case=False, pool=LETTERS.lower())
    if style == 2:
        return ChoiceSet("lowercase letter", "letter", tuple(LETTERS.lower()), ignore_case=False, pool=LETTERS)
    if style == 3:
        return ChoiceSet("punctuation mark", "symbol", tuple("!?.,:;"), pool=SYMBOLS[2:])
    vowel = style == 4
    members = [letter for letter in LETTERS if (letter in "AEIOU") == vowel]
    return ChoiceSet("vowel" if vowel else "consonant", "letter", tuple(members), pool=LETTERS)


def digit_set(rng: random.Random) -> ChoiceSet:
    """All, odd or even digits, or a range of digits."""
    style = rng.randrange(6)
    if style == 0:
        return ChoiceSet("digit", "digit", tuple(DIGITS))
    if style == 1:
        return ChoiceSet("odd digit", "digit", by_popularity("13579", DIGITS), pool=DIGITS)
    if style == 2:
        return ChoiceSet("even digit", "digit", by_popularity("02468", DIGITS), pool=DIGITS)
    start = rng.randrange(0, 7)
    stop = rng.randrange(start + 2, 10)
    join = rng.choice(("from {} to {}", "between {} and {}"))
    kind = rng.choice(("digit", "digit", "number"))
    members = [str(digit) for digit in range(start, stop + 1)]
    return ChoiceSet(f"{kind} " + join.format(start, stop), kind, by_popularity(members, DIGITS), pool=DIGITS)


def _joined(members: Sequence[str], rng: random.Random) -> str:
    head, last = ", ".join(members[:-1]), members[-1]
    return rng.choice((f"{head}, or {last}", f"{head} or {last}", f"{head}, {last}"))


def parity_set(rng: random.Random) -> ChoiceSet:
    """Odd or even digits."""
    noun, members = rng.choice((("odd digit", "13579"), ("even digit", "02468")))
    return ChoiceSet(noun, "digit", by_popularity(members, DIGITS), pool=DIGITS)


def listed_characters(rng: random.Random) -> ChoiceSet:
    """An explicit list of symbols, letters or digits."""
    kind = rng.choice(("symbol", "symbol", "letter", "digit"))
    order = {"symbol": SYMBOLS, "letter": LETTERS, "digit": DIGITS}[kind]
    members = rng.sample(order, rng.randrange(3, 6))
    noun = " ".join(members) if kind == "symbol" or rng.random() < 0.3 else _joined(members, rng)
    return ChoiceSet(noun, kind, by_popularity(members, order), form="list", pool=order)


def listed_words(rng: random.Random, mixed: float = 0.25) -> ChoiceSet:
    """An explicit list of words of one theme; a share ``mixed`` of the lists mixes themes."""
    pool = ALL_WORDS if rng.random() < mixed else rng.choice(LIST_POOLS)
    members = rng.sample(pool, min(len(pool), rng.randrange(3, 6)))
    return ChoiceSet(_joined(members, rng), "word", by_popularity(members, pool), form="list", pool=pool)


def named_words(rng: random.Random) -> ChoiceSet:
    """A named set of words such as the weekdays."""
    name = rng.choice(tuple(WORD_SETS))
    noun = name.replace("color", "colour") if rng.random() < 0.3 else name
    form = "coin" if name == "side of a coin" and rng.random() < 0.5 else "noun"
    return ChoiceSet(noun, "word", WORD_SETS[name], form=form)


def number_words(rng: random.Random) -> ChoiceSet:
    """Number words in a range, as on a die."""
    stop = rng.choice((4, 5, 6, 6, 8, 10))
    members = NUMBER_ORDER[:stop]
    return ChoiceSet(
        f"number word from one to {members[-1]}", "word", by_popularity(members, NUMBER_WORDS), pool=NUMBER_WORDS
    )


def die(rng: random.Random) -> ChoiceSet:
    """A die whose result is a digit or a number word."""
    if rng.random() < 0.5:
        return ChoiceSet("die", "digit", by_popularity("123456", DIGITS), form="die")
    return ChoiceSet("die", "word", by_popularity(NUMBER_ORDER[:6], NUMBER_WORDS), form="die")


Makers = dict[str, tuple[tuple[Callable[[random.Random], ChoiceSet], int], ...]]
MAKERS: Makers = {
    "character": ((letter_set, 4), (named_characters, 2), (digit_set, 3), (listed_characters, 4)),
    "word": ((named_words, 7), (listed_words, 4), (number_words, 1), (die, 1)),
}
# For training: what a small model learns last gets more room.
HARD_MAKERS: Makers = {
    "character": ((letter_set, 4), (named_characters, 2), (digit_set, 3), (parity_set, 1), (listed_characters, 6)),
    "word": ((named_words, 5), (listed_words, 8), (number_words, 1), (die, 1)),
}


def wording(choice: ChoiceSet, rng: random.Random) -> str:
    """A prompt that asks for one answer of the set."""
    verb = rng.choice(VERBS)
    fill = {
        "V": verb,
        "v": verb.lower(),
        "k": choice.kind,
        "n": choice.noun,
        "L": choice.noun,
        "an": with_article(choice.noun),
    }
    suffix = rng.choice(SUFFIXES).format(**fill)
    if choice.form == "list":
        request = rng.choice(LIST_PATTERNS).format(**fill)
    elif choice.form == "coin":
        request = rng.choice(COIN_PROMPTS)
    elif choice.form == "die":
        request = rng.choice(DIE_PROMPTS)
        suffix = rng.choice(SUFFIXES[1:7]).format(**fill)  # the suffix says whether a digit or a word is due
    else:
        request = rng.choice(PATTERNS).format(**fill)
    return f"{request} {suffix}".strip()


def choice_set(category: str, rng: random.Random, makers: Makers = MAKERS) -> ChoiceSet:
    """Draw a valid set of one category ("character" or "word")."""
    functions = [function for function, _ in makers[category]]
    weights = [weight for _, weight in makers[category]]
    return rng.choices(functions, weights)[0](rng)


def choice_task(
    rng: random.Random, category: str | None = None, held_out: bool = False, makers: Makers = MAKERS
) -> Task:
    """One constrained choice whose answer is a single token.

    Args:
        rng: Source of the set and of the wording.
        category: "character" or "word"; by default drawn.
        held_out: True gives a prompt that no training document contains; False one that may be trained on.
        makers: How often each kind of set is drawn.
    """
    category = category or rng.choice(("character", "word"))
    while True:
        choice = choice_set(category, rng, makers)
        prompt = wording(choice, rng)
        if is_held_out(prompt) == held_out:
            return task_of(choice, prompt)


def task_of(choice: ChoiceSet, prompt: str) -> Task:
    """The task of asking ``prompt`` about ``choice``."""
    near = sorted(set(choice.pool) - set(choice.answers))

    def wrong(picker: Picker) -> str:
        if near and picker.rng.random() < 0.7:
            return picker.rng.choice(near)
        while True:
            other = picker.rng.choice(choice_set(picker.rng.choice(("character", "word")), picker.rng).answers)
            if other.lower() not in {answer.lower() for answer in choice.answers}:
                return other

    return Task(
        "choice",
        prompt,
        choice.answers,
        lambda picker: picker.pick(choice.answers),
        wrong,
        category=choice.category,
        ignore_case=choice.ignore_case,
    )


def held_out_choices(per_category: int, seed: int = 0) -> list[Task]:
    """Distinct held-out choice tasks, ``per_category`` characters and then as many words.

    The same arguments always give the same tasks. Sets have at least three answers: diversity needs room.
    """
    rng = random.Random(f"held-out-{seed}")
    tasks: list[Task] = []
    for category in ("character", "word"):
        seen: set[str] = set()
        while len(seen) < per_category:
            task = choice_task(rng, category, held_out=True)
            if task.category == category and task.prompt not in seen and len(task.accepted) >= 3:
                seen.add(task.prompt)
                tasks.append(task)
    return tasks

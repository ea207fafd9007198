"""Creative writing and open questions: families whose answers are texts."""

from __future__ import annotations

import random

from slr_probe.tasks.tiny import lexicon as lex
from slr_probe.tasks.tiny.task import Picker, Task

STORY_PROMPTS = (
    "Write a short story about a {}.",
    "Tell me a story about a {}.",
    "Write a story about a {}.",
    "Please write a short story with a {}.",
    "Tell a short story about a {}.",
)
POEM_PROMPTS = (
    "Write a poem about the {}.",
    "Write a short poem about the {}.",
    "Please write a poem on the {}.",
    "Give me a poem about the {}.",
)
JOKE_PROMPTS = (
    "Tell me a joke about a {}.",
    "Write a joke about a {}.",
    "Give me a funny joke about a {}.",
    "Please tell a joke about a {}.",
)


def story_text(hero: str, picker: Picker) -> str:
    """A story of four to six sentences."""
    pick = picker.pick
    name, place, goal = pick(lex.NAMES), pick(lex.PLACES), pick(lex.GOALS)
    adjective = pick(lex.HERO_ADJECTIVES)
    opening = pick((f"there was a {adjective} {hero} named {name}.", f"a {adjective} {hero} lived {place}."))
    sentences = [f"{pick(lex.OPENINGS)} {opening}"]
    if "lived" in opening:
        sentences.append(f"The name of the {hero} was {name}.")
    else:
        sentences.append(f"{name} lived {place}.")
    sentences.append(pick((f"{name} wanted to {goal}.", f"One day {name} wanted to {goal}.")))
    sentences.append(f"But {pick(lex.PROBLEMS)}.")
    sentences.append(pick((f"Then {pick(lex.HELPERS)} came to help.", f"{name} did not give up.")))
    sentences.append(f"In the end {name} {pick(lex.ENDINGS)}.")
    return " ".join(sentences)


def poem_text(topic: str, picker: Picker) -> str:
    """Four lines, of which the second and the fourth rhyme."""
    pick = picker.pick
    first, second = pick(lex.RHYMES)
    opening = pick(
        (
            f"The {topic} is {pick(lex.POEM_MOODS)},",
            f"Oh {pick(lex.POEM_MOODS)} {topic},",
            f"I see the {topic},",
        )
    )
    return "\n".join(
        (
            opening,
            f"it {pick(lex.POEM_ACTS)} {pick(('like', 'near', 'under'))} the {first},",
            f"it {pick(lex.POEM_ACTS)} and {pick(lex.POEM_ACTS)},",
            f"so {pick(lex.POEM_MOODS)} and {second}.",
        )
    )


def joke_text(hero: str, picker: Picker) -> str:
    """A question and its punch line."""
    act, reason = picker.pick(lex.JOKE_ACTS), picker.pick(lex.JOKE_REASONS)
    lead = picker.pick((f"Why did the {hero} {act}?", f"Do you know why a {hero} would {act}?"))
    return f"{lead} Because {reason}!"


def story_task(rng: random.Random) -> Task:
    """A request for a story."""
    hero = rng.choice(lex.HEROES)
    return Task("story", rng.choice(STORY_PROMPTS).format(hero), (), lambda picker: story_text(hero, picker))


def poem_task(rng: random.Random) -> Task:
    """A request for a poem."""
    topic = rng.choice(lex.POEM_TOPICS)
    return Task("poem", rng.choice(POEM_PROMPTS).format(topic), (), lambda picker: poem_text(topic, picker))


def joke_task(rng: random.Random) -> Task:
    """A request for a joke."""
    hero = rng.choice(lex.HEROES)
    return Task("joke", rng.choice(JOKE_PROMPTS).format(hero), (), lambda picker: joke_text(hero, picker))


def question_task(rng: random.Random) -> Task:
    """A question with many right answers; ``accepted`` holds the phrases, answers embed one in a sentence."""
    index = rng.randrange(len(lex.QUESTIONS))
    prompts, phrases = lex.QUESTIONS[index]
    others = [phrase for i, (_, group) in enumerate(lex.QUESTIONS) if i != index for phrase in group]

    def sentence(phrase: str, picker: Picker) -> str:
        text = picker.pick(lex.QUESTION_FRAMES).format(phrase)
        return text[0].upper() + text[1:]

    return Task(
        "question",
        rng.choice(prompts),
        phrases,
        lambda picker: sentence(picker.pick(phrases), picker),
        lambda picker: sentence(picker.rng.choice(others), picker),
    )

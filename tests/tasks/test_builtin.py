"""The built-in prompt sets: how many, whether answers are recognised, whether prompts give answers away."""

import random
import re
from collections import Counter

import pytest

from slr_probe.errors import TaskError
from slr_probe.tasks import Item, TextTask, choice_task, qa_task, reasoning_task, writing_task
from slr_probe.tasks.builtin import shared_prompts
from slr_probe.tasks.listed import key
from slr_probe.tasks.tiny import lexicon
from slr_probe.tasks.tiny.arithmetic import arithmetic_task
from slr_probe.tasks.tiny.prose import joke_task, poem_task, question_task, story_task
from slr_probe.tasks.tiny.task import Picker

FRAMES = (
    "{}",
    "{}.",
    "I would say {}.",
    "One example is {}, which I like a lot.",
    "**{}**",
    "Sure! How about {}?",
    "Answer: {}",
)
BUILT_IN = {
    "writing": writing_task(),
    "qa": qa_task(),
    "reasoning": reasoning_task(),
    "small writing": writing_task("organism"),
    "small qa": qa_task("organism"),
    "small reasoning": reasoning_task(size="organism"),
    "choice": choice_task(),
    "small choice": choice_task("organism"),
}


@pytest.mark.parametrize("name", BUILT_IN)
def test_prompts_are_distinct_and_survive_a_round_trip(name, tmp_path):
    task = BUILT_IN[name]
    assert len({item.prompt for item in task.items}) == len(task.items)
    assert task.source
    assert TextTask.load(task.save(tmp_path / "task.json")) == task


@pytest.mark.parametrize("size", ["full", "organism"])
def test_ranges_are_chosen_by_prompts_that_hybrids_are_not_validated_on(size):
    chosen_by = {words(item.prompt) for item in choice_task(size).items}
    for task in BUILT_IN.values():
        if task.family != "choice":
            assert chosen_by.isdisjoint(words(item.prompt) for item in task.items)
            assert shared_prompts(task, choice_task(size)) == ()


def words(text):
    return tuple(re.findall(r"\w+", text.lower()))


def test_a_shared_prompt_is_found_however_it_is_written():
    mine = TextTask("mine", "own", (Item("a", " name A river"), Item("b", "Name a road.")), 8, 2, "here")
    assert shared_prompts(mine, choice_task()) == ("a",)


@pytest.mark.parametrize("size", ["full", "organism"])
def test_both_halves_of_the_choice_have_enough_of_each_sort(size):
    for half in choice_task(size).split(0.5, 0):
        kinds = Counter(item.kind for item in half.items)
        assert kinds["question"] >= 4
        assert sum(kinds.values()) >= 24


def test_sizes_of_the_families():
    kinds = Counter(item.kind for item in BUILT_IN["writing"].items)
    assert sum(kinds.values()) >= 100
    assert set(kinds) == {"poem", "story", "joke"}
    assert min(kinds.values()) >= 33
    assert sum(bool(item.constraints) for item in BUILT_IN["writing"].items) >= 40
    assert len(BUILT_IN["qa"].items) >= 40
    assert len(BUILT_IN["reasoning"].items) >= 100
    assert len({item.kind for item in BUILT_IN["reasoning"].items}) >= 10


def test_questions_have_many_answers():
    sizes = [len(item.answers) for item in BUILT_IN["qa"].items]
    assert min(sizes) >= 8
    assert sum(size >= 15 for size in sizes) >= 40
    expected = {"us-state": 50, "us-state-capital": 50, "element": 118, "planet": 8, "month": 12, "zodiac": 12}
    expected |= {"greek-letter": 24, "eu-member": 27, "eu-language": 24, "nato-member": 32, "president": 45}
    expected |= {"nba-team": 30, "nfl-team": 32, "us-national-park": 63, "canadian-province": 13, "german-state": 16}
    expected |= {"eight-thousander": 14, "south-america": 12, "china-neighbour": 14, "constellation": 88}
    found = {item.id: len(item.answers) for item in BUILT_IN["qa"].items}
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("item", BUILT_IN["qa"].items, ids=lambda item: item.id)
def test_every_spelling_is_recognised_in_every_frame(item):
    for group in item.answers:
        for spelling in group:
            for form in (spelling, spelling.upper(), spelling.lower()):
                for frame in FRAMES + lexicon.QUESTION_FRAMES:
                    text = frame.format(form)
                    assert BUILT_IN["qa"].answer(item, text) == group[0], text
                    assert BUILT_IN["qa"].correct(item, text) is True


@pytest.mark.parametrize("item", BUILT_IN["qa"].items, ids=lambda item: item.id)
def test_no_prompt_names_an_answer_and_wrong_answers_stay_wrong(item):
    task = BUILT_IN["qa"]
    for text in (item.prompt, "Xyzzy.", "I cannot answer that.", "A good one is a plugh.", ""):
        assert task.correct(item, text) is False, text


def test_related_sets_agree():
    """Lists that were written apart: members of the one must be in the other."""
    sets = {item.id: {key(group[0]) for group in item.answers} for item in BUILT_IN["qa"].items}
    spelled = {item.id: {key(one) for group in item.answers for one in group} for item in BUILT_IN["qa"].items}
    continents = set.union(*(spelled[name] for name in ("europe", "africa", "asia", "south-america")))
    continents |= spelled["central-america-caribbean"] | {"australia"}
    assert sets["eu-member"] <= spelled["europe"]
    assert sets["landlocked"] <= continents
    assert sets["china-neighbour"] <= spelled["asia"]
    assert sets["nato-member"] <= continents
    assert sets["spanish-speaking"] <= continents
    assert sets["zodiac"] - {"scorpio", "capricorn"} <= sets["constellation"]
    assert not sets["eight-thousander"] & continents
    assert {"iron", "gold", "lead"} <= sets["metal"]
    assert not {"helium", "carbon", "oxygen"} & sets["metal"]
    assert {"washington", "georgia"} <= sets["us-state"]


def test_constraints_of_a_prompt_are_said_in_it():
    for item in BUILT_IN["writing"].items:
        for name, value in item.constraints:
            if (
                name in ("max_words", "contains", "avoids", "starts_with")
                and item.prompt != "Write a knock-knock joke."
            ):
                assert str(value).casefold() in item.prompt.casefold(), item
    numbers = {1: "one-line", 3: "three", 4: "four", 5: "five", 6: "six-line", 8: "eight-line"}
    for item in BUILT_IN["writing"].items:
        bounds = dict(item.constraints)
        if "lines" in bounds:
            assert numbers[bounds["lines"]] in item.prompt.casefold(), item


@pytest.mark.parametrize(
    ("make", "name"), [(story_task, "small writing"), (poem_task, "small writing"), (joke_task, "small writing")]
)
def test_texts_of_the_corpus_follow_the_small_writing_prompts(make, name):
    task = BUILT_IN[name]
    items = {item.prompt: item for item in (*task.items, *BUILT_IN["small choice"].items)}
    rng = random.Random(0)
    for _ in range(200):
        drawn = make(rng)
        text = drawn.answer(Picker(rng))
        assert task.follows(items[drawn.prompt], text), text
        assert not task.follows(items[drawn.prompt], "No.")
        assert task.correct(items[drawn.prompt], text) is None


def test_replies_of_the_corpus_are_right_and_wrong_as_it_says():
    for name, make in (("small qa", question_task), ("small reasoning", lambda rng: arithmetic_task(rng, words=True))):
        task, rng = BUILT_IN[name], random.Random(1)
        items = {item.prompt: item for item in task.items}
        for _ in range(400):
            drawn = make(rng)
            item = items.get(drawn.prompt)
            if item is None and name == "small qa":  # one that ranges are chosen by
                continue
            if item is None:  # a problem that is not in the task: judge by its accepted answer
                base = task.items[0]
                item = type(base)("drawn", drawn.prompt, answers=(drawn.accepted,), check="number")
            right, wrong = drawn.answer(Picker(rng)), drawn.wrong(Picker(rng))
            assert task.correct(item, right) is True, right
            assert task.answer(item, right) in drawn.accepted
            assert task.correct(item, wrong) is (wrong_is_accepted(drawn, wrong)), wrong


def wrong_is_accepted(drawn, wrong):
    """The corpus draws a wrong phrase from other questions; some phrases belong to two."""
    if drawn.family != "question":
        return False
    framed = {key(frame.format(phrase)) for phrase in drawn.accepted for frame in lexicon.QUESTION_FRAMES}
    return key(wrong) in framed | {key(phrase) for phrase in drawn.accepted}


def test_small_sets_hold_every_form_of_the_corpus_together():
    assert len(BUILT_IN["small writing"].items) == 91
    assert len(BUILT_IN["small qa"].items) == 21
    asked = {item.prompt for name in ("small qa", "small choice") for item in BUILT_IN[name].items}
    assert asked >= {prompt for prompts, _ in lexicon.QUESTIONS for prompt in prompts}


@pytest.mark.parametrize("size", ["full", "organism"])
def test_reasoning_is_set_by_its_seed(size):
    first, again, other = (reasoning_task(40, seed, size) for seed in (3, 3, 4))
    assert first == again
    assert not {item.prompt for item in first.items} & {item.prompt for item in other.items}
    assert reasoning_task(20, 3, size).items == first.items[:20]


def test_bad_sizes_are_refused():
    for make in (writing_task, qa_task, choice_task, lambda size: reasoning_task(size=size)):
        with pytest.raises(TaskError, match="unknown size 'tiny'"):
            make("tiny")
    for size in ("full", "organism"):
        with pytest.raises(TaskError, match="at least 1"):
            reasoning_task(0, size=size)

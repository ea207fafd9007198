"""The synthetic corpus: seeded, right, and without the held-out prompts."""

import random
import re

import pytest

from organism.choices import by_popularity, choice_task, held_out_choices, is_held_out
from organism.corpus import FAMILIES, Document, base_documents, demonstrations, preferences
from slr_probe.tasks.tiny.arithmetic import LARGEST, arithmetic_task, drill
from slr_probe.tasks.tiny.prose import question_task
from slr_probe.tasks.tiny.task import Picker


def test_same_seed_same_text():
    assert list(base_documents(200, seed=3)) == list(base_documents(200, seed=3))
    assert list(base_documents(200, seed=3)) != list(base_documents(200, seed=4))
    assert list(demonstrations(50, 1.0, seed=3)) == list(demonstrations(50, 1.0, seed=3))
    assert list(preferences(50, (2.0, 1.0), 0.2)) == list(preferences(50, (2.0, 1.0), 0.2))
    assert held_out_choices(5) == held_out_choices(5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("sharpness", [0.0, 2.0])
def test_every_family_answers_its_own_prompt(family, sharpness):
    for seed in range(50):
        task = FAMILIES[family](random.Random(seed))
        answer = task.answer(Picker(random.Random(seed), sharpness))
        assert task.family == family.removeprefix("hard ")
        assert answer
        if task.family == "choice":
            assert answer in task.accepted
        elif task.accepted:
            assert any(accepted.lower() in answer.lower() for accepted in task.accepted)


def test_worked_steps_are_right():
    for seed in range(300):
        task = arithmetic_task(random.Random(seed))
        text = task.answer(Picker(random.Random(seed)))
        for left, sign, right, result in re.findall(r"(\d+) ([+-]) (\d+) = (\d+)", text):
            assert int(left) + int(sign + right) == int(result)
        numbers = [int(number) for number in re.findall(r"\d+", text)]
        assert max(numbers) <= LARGEST
        assert re.fullmatch(r".*Answer: (\d+)", text).group(1) == task.accepted[0]
        assert task.wrong(Picker(random.Random(seed))).rsplit(" ", 1)[1] != task.accepted[0]


def test_arithmetic_answer_follows_from_the_prompt():
    for seed in range(200):
        task = arithmetic_task(random.Random(seed), words=True)
        total = int(re.search(r"has (\d+)", task.prompt).group(1))
        for verb, amount in re.findall(r"(buys|finds|gets|wins|gives away|loses|sells|drops) (\d+)", task.prompt):
            total += int(amount) if verb in ("buys", "finds", "gets", "wins") else -int(amount)
        assert str(total) == task.accepted[0]


def test_drill_is_right():
    lines = re.findall(r"(\d+) ([+-]) (\d+) = (\d+)", drill(random.Random(0)))
    assert len(lines) == 8
    assert all(int(a) + int(sign + b) == int(c) for a, sign, b, c in lines)


def test_held_out_prompts_are_not_trained_on():
    held_out = {task.prompt for task in held_out_choices(40)}
    assert len(held_out) == 80
    assert all(map(is_held_out, held_out))
    contexts = [chat.context for chat in demonstrations(2000, 1.0)]
    text = "\n".join(contexts) + "\n".join(document.text for document in base_documents(5000))
    assert not [prompt for prompt in held_out if f"{prompt}\n" in text or f"{prompt}<" in text]


def test_held_out_choices_cover_both_categories():
    tasks = held_out_choices(10)
    assert [task.category for task in tasks] == ["character"] * 10 + ["word"] * 10
    assert all(len(set(task.accepted)) == len(task.accepted) >= 3 for task in tasks)


def test_wrong_choices_are_wrong():
    for seed in range(100):
        task = choice_task(random.Random(seed))
        wrong = task.wrong(Picker(random.Random(seed)))
        fold = str.lower if task.ignore_case else str
        assert fold(wrong) not in {fold(answer) for answer in task.accepted}


def test_wrong_answers_to_questions_are_of_another_question():
    task = question_task(random.Random(0))
    assert task.wrong(Picker(random.Random(0)))


def test_picker_follows_its_rank_law():
    picker = Picker(random.Random(0), 1.0)
    counts = [0, 0, 0]
    for _ in range(11_000):
        counts[picker.pick((0, 1, 2))] += 1
    assert counts == pytest.approx([6000, 3000, 2000], rel=0.06)


def test_by_popularity_orders_by_the_given_list():
    assert by_popularity("abc", "cab") == ("c", "a", "b")


def test_preferences_share_their_context():
    for chosen, rejected in preferences(100, (2.5, 1.0), 0.2):
        assert isinstance(chosen, Document)
        assert chosen.context == rejected.context
        assert chosen.completion != rejected.completion

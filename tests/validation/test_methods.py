from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from slr_probe import Recipe
from slr_probe.errors import ValidationError
from slr_probe.generation import Sampling
from slr_probe.scoring.metrics import primary_metrics
from slr_probe.scoring.tasks import read_size, read_tasks, resize
from slr_probe.tasks.text import Item, TextTask
from slr_probe.validation.methods import BASELINES, QUICK, check_baselines, read_recipes
from slr_probe.validation.plan import controls, plan_methods, variations
from slr_probe.validation.run import curve_points

CHOSEN = [("hybrid 3:6", Recipe.restore("3:6", 10))]
DRAWN = Sampling(temperature=1.0, min_p=0.1)


def test_controls_are_of_equal_width_and_none_is_the_chosen_one():
    methods, notes = controls(CHOSEN, BASELINES, DRAWN, ranges=3, seed=0)
    assert [method.kind for method in methods] == ["early", "late", "random", "random", "random"]
    assert [str(m.recipe.layers) for m in methods[:2]] == ["0:3", "7:10"]
    layers = [method.recipe.layers for method in methods]
    assert len({*layers, CHOSEN[0][1].layers}) == 6
    assert {one.width for one in layers} == {3}
    assert not notes
    again, _ = controls(CHOSEN, BASELINES, DRAWN, ranges=3, seed=0)
    other, _ = controls(CHOSEN, BASELINES, DRAWN, ranges=3, seed=1)
    assert methods == again
    assert methods != other


def test_controls_that_do_not_exist_are_noted():
    methods, notes = controls([("a", Recipe.restore("0:9", 10))], BASELINES, DRAWN, ranges=3, seed=0)
    assert [method.kind for method in methods] == ["late"]
    assert any("early control 0:9 is left out" in note for note in notes)
    assert any("only 0 of 3 random ranges of width 9" in note for note in notes)
    methods, notes = controls([("a", Recipe.tuned(10))], BASELINES, DRAWN, ranges=3, seed=0)
    assert not methods
    assert "restores nothing" in notes[0]


def test_variations_change_one_setting_each():
    found = variations(CHOSEN, BASELINES, DRAWN, temperatures=(1.0, 1.5), min_ps=(0.0, 0.1))
    assert [(m.name, m.sampling.temperature, m.sampling.min_p) for m in found] == [
        ("tuned T=1.5", 1.5, 0.1),
        ("hybrid 3:6 T=1.5", 1.5, 0.1),
        ("tuned min-p=0", 1.0, 0.0),
        ("tuned, diversity prompt", 1.0, 0.1),
    ]
    assert "{prompt}" in found[-1].wording
    assert len({m.group for m in found}) == 3  # both at T = 1.5 are generated together
    assert not variations(CHOSEN, (), DRAWN, temperatures=(1.5,), min_ps=(0.0,))


def test_baselines_by_name():
    assert check_baselines(None, QUICK) == QUICK
    assert check_baselines("all", QUICK) == BASELINES
    assert check_baselines("none", QUICK) == ()
    assert check_baselines(["soup", "early"], QUICK) == ("early", "soup")
    with pytest.raises(ValidationError, match="unknown baseline 'middle'"):
        check_baselines(["middle"], QUICK)


def test_primary_metrics_follow_from_the_task_alone():
    names = {"ead", "distinct_2", "distinct_correct", "correct", "follows", "answer_entropy"}
    several = TextTask("qa", "qa", (Item("a", "?", answers=(("x",), ("y",)), check="list"),), 8, 8, "")
    single = TextTask("r", "reasoning", (Item("a", "?", answers=(("4",),), check="number"),), 8, 8, "")
    writing = TextTask("w", "writing", (Item("a", "Write."),), 8, 8, "")
    assert primary_metrics(several, names) == ("distinct_correct", "correct")
    assert primary_metrics(single, names) == ("ead", "correct")
    assert primary_metrics(writing, names) == ("ead", "follows")
    assert primary_metrics(writing, names | {"embedding_distance", "judge"}) == ("embedding_distance", "judge")


def test_sizes():
    task = TextTask("w", "w", tuple(Item(f"i{k}", "Write.", kind="ab"[k % 2]) for k in range(20)), 100, 32, "")
    quick = resize(task, read_size("quick", None, None, None), 0)
    assert (len(quick.items), quick.samples, quick.max_tokens) == (8, 8, 48)
    assert sum(item.kind == "a" for item in quick.items) == 4
    full = resize(task, read_size("full", None, None, None), 0)
    assert full == task
    assert resize(task, read_size("full", 5, 4, 300), 0).max_tokens == 100
    short = replace(task, max_tokens=90)
    assert resize(short, read_size("quick", None, None, None), 0).max_tokens == 90
    assert resize(short, read_size("quick", None, None, 20), 0).max_tokens == 20
    for name, value in (("prompts", 1), ("samples", 1), ("max_tokens", 0)):
        with pytest.raises(ValidationError, match=f"{name.replace('_', ' ')} of at least"):
            read_size("full", **{"prompts": None, "samples": None, "max_tokens": None, name: value})
    with pytest.raises(ValidationError, match="unknown preset 'slow'"):
        read_size("slow", None, None, None)


def test_tasks_by_name_and_file(tmp_path):
    assert [task.family for task in read_tasks(None, ["qa", "writing"])] == ["qa", "writing"]
    assert [len(task.items) for task in read_tasks(None, small=True)] == [91, 21, 120]
    file = tmp_path / "mine.jsonl"
    file.write_text('{"id": "one", "prompt": "Write a haiku."}\n')
    (mine,) = read_tasks(None, file)
    assert mine.items[0].prompt == "Write a haiku."
    with pytest.raises(ValidationError, match="no task 'poetry'"):
        read_tasks(None, "poetry")
    with pytest.raises(ValidationError, match="name of its own"):
        read_tasks(None, ["qa", "qa"])
    with pytest.raises(ValidationError, match="got int"):
        read_tasks(None, [3])


def test_points_of_the_curve():
    assert curve_points(8) == (1, 2, 4, 8)
    assert curve_points(12) == (1, 2, 4, 8, 12)
    assert curve_points(2) == (1, 2)
    assert np.all(np.diff(curve_points(128)) > 0)


def test_a_soup_has_one_name_and_is_not_measured_twice():
    """As a chosen hybrid a soup is called what the baseline is called; where both are one, it is written once."""
    soup = Recipe.soup(0.3, 10)
    pair = SimpleNamespace(recipe=lambda one: one)
    (chosen,) = read_recipes(pair, [soup])
    assert chosen == ("soup 0.3", soup)
    how = {"temperatures": (), "min_ps": (), "random_ranges": 0, "seed": 0}
    methods, notes = plan_methods([chosen], ["soup"], DRAWN, lambda: soup, **how)
    assert [method.name for method in methods] == ["tuned", "soup 0.3"]
    assert "the best soup is left out: it is a chosen hybrid" in notes
    methods, _ = plan_methods(CHOSEN, ["soup"], DRAWN, lambda: soup, **how)
    assert [method.name for method in methods] == ["tuned", "hybrid 3:6", "soup 0.3"]

"""Races of the ranges of tiny pairs, beside sweeps of them."""

from dataclasses import replace

import numpy as np
import pytest

from slr_probe import Recipe, rank_layers
from slr_probe.rank import Guards, RangeRanking
from slr_probe.rank.guards.replies import ReadReplies, Written
from slr_probe.rank.measure import Scorer
from slr_probe.rank.race.contest import SweptContest
from slr_probe.rank.race.race import MARGIN
from slr_probe.rank.race.ranges import evaluations
from slr_probe.sweep import sweep
from tests.rank.conftest import DEPTH, PLANTED

END = 2
ASKED = {"guards": None, "soups": 0, "floor": 0.8, "progress": False}


@pytest.fixture(scope="module")
def both(pair, task):
    return [rank_layers(pair, task, method=method, **ASKED) for method in ("race", "sweep")]


def test_a_race_changes_no_score_that_it_reports(both):
    race, everything = both
    rows = np.flatnonzero(race.measured)
    assert 0 < len(rows)
    for row in rows:
        same = next(i for i, recipe in enumerate(everything.recipes) if recipe == race.recipes[row])
        np.testing.assert_allclose(race.validity[row], everything.validity[same], rtol=1e-5)
        np.testing.assert_allclose(race.diversity[row], everything.diversity[same], rtol=1e-5)


def test_the_choice_is_that_of_the_sweep(both):
    race, everything = both
    assert race.choice.layers == everything.choice.layers


def test_the_record_goes_through_a_file_and_adds_up(both, tmp_path):
    race = both[0]
    loaded = RangeRanking.load(race.save(tmp_path / "race.npz"))
    assert loaded.raced == race.raced
    exits = race.raced.exits
    assert len(exits) == len(race.ranges)
    for row, left in enumerate(exits):
        assert race.measured[row] == (left is None)
    assert race.to_dict()["race"] == race.race
    assert both[1].raced is None
    assert "race" not in both[1].to_dict()


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_few_prompts_are_raced_as_well(pair, task, count):
    """The first shares of so few are the same prompts: nothing new is to be seen then."""
    some = [(item.prompt, item.answers) for item in task.selection.items[:count]]
    race, everything = (rank_layers(pair, some, method=method, **ASKED) for method in ("race", "sweep"))
    assert race.raced.heats[0].prompts == 1
    assert [heat.prompts for heat in race.raced.heats] == sorted({heat.prompts for heat in race.raced.heats})
    best = []
    for found in (race, everything):
        rows = [row for row in found.rows("range") if found.feasible[row]]
        best.append(np.nanmax(found.mean_diversity[[*rows, *found.rows("tuned")]]))  # tuned is the first to beat
    assert best[0] >= best[1] - MARGIN


def test_ranges_that_are_one_hybrid_share_their_fate(planted_pair, task):
    race = rank_layers(planted_pair, task, method="race", **ASKED)
    fates = {}
    for layers, left in zip(race.ranges, race.raced.exits, strict=True):
        fates.setdefault(frozenset(layers) & frozenset(range(*PLANTED)), set()).add(left)
    assert all(len(fate) == 1 for fate in fates.values())


def test_evaluations_are_those_that_the_sweep_makes(pair, task, both):
    recipes = [recipe for recipe, kind in zip(both[1].recipes, both[1].kinds, strict=True) if kind == "range"]
    for some in (recipes, recipes[2:5], recipes[:1]):
        found = sweep(pair, some, task.selection, progress=False)
        assert evaluations(some) == found.settings["block_evaluations"]


@pytest.fixture(scope="module")
def replies():
    """Replies to three prompts, one of them with two, and an opening."""
    rng = np.random.default_rng(0)

    def written(name, *, open=False):
        ids, tokens = (tuple(rng.integers(3, 60, size=count).tolist()) for count in (5, 4))
        return Written(name, "tuned", open, ids, tokens[:-1] if open else (*tokens[:-1], END), not open)

    return ReadReplies.of(
        [written("a"), written("b"), written("c"), written("a"), written("b", open=True)], [END], Guards()
    )


def test_replies_to_some_prompts_leave_openings_out(replies):
    some = replies.of_prompts({1, 2})
    assert some.written == replies.written[1:3]
    assert some.replies.replies == replies.replies.replies[1:3]
    assert set(some.prompt) == {1, 2}
    assert len(some.prompt) == len(some.place) == sum(len(reply.read) for reply in some.replies.replies)


def test_a_part_is_what_the_whole_says_of_it(pair, task, replies):
    selection = Scorer(pair, task.selection.render(pair), frozenset(range(DEPTH)), {"progress": False}, None, replies)
    recipes = [Recipe.restore(layers, DEPTH) for layers in ("0:2", "1:4", "3:5")]
    contest = SweptContest(selection, recipes, Guards(), 0)
    questions, prompts = [4, 1, 2], [2, 0]
    part, whole = contest.part([2, 0], questions, prompts), contest.whole([2, 0])
    assert set(part) == {"validity", "diversity", "ending", "surprise", "drift"}
    for name, values in part.items():
        where = questions if name in ("validity", "diversity") else prompts
        np.testing.assert_allclose(values, whole[name][:, where], rtol=1e-4, atol=1e-6, err_msg=name)
    read = sum(len(replies.of_prompts({i}).written) for i in prompts)
    assert contest.evaluations == evaluations([recipes[2], recipes[0]]) * (len(questions) + read)


def test_guards_are_raced_where_there_are_enough_replies(pair, task, replies):
    selection = Scorer(pair, task.selection.render(pair), frozenset(range(DEPTH)), {"progress": False}, None, replies)
    assert SweptContest(selection, [], Guards(), 0).bounds == {}  # four replies say nothing
    assert SweptContest(replace(selection, replies=None), [], Guards(), 0).bounds == {}

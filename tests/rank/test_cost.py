"""What a ranking costs: the work is what the sweep's trie counts, and parts are told by name."""

from __future__ import annotations

from slr_probe import ModelPair
from slr_probe.rank import Guards
from slr_probe.rank.candidates import alphas, ranges
from slr_probe.rank.cost import expected_steps, ranking_cost
from slr_probe.rank.measure import Scorer
from slr_probe.sweep import sweep


def test_work_is_the_number_of_block_evaluations_of_the_sweep(pair, task) -> None:
    recipes = [row.recipe for row in ranges(pair.depth)]
    scorer = Scorer(pair, task, frozenset(range(pair.depth)), {"progress": False})
    for some in (recipes, recipes[:5], recipes[::3]):
        assert scorer.work(some) == sweep(pair, some, task, dry_run=True).block_evaluations


def test_every_part_has_its_seconds(pair, task) -> None:
    found = ranking_cost(pair, task, soups=3)
    assert all(seconds > 0 for seconds in found.parts.values())
    assert {"ranges and soups", "controls", "held-out prompts"} <= found.parts.keys()
    assert "replies" not in found.parts  # they do not fit the context of this model
    assert ranking_cost(pair, task, "guided", guards=None, soups=0).unknown


def test_fewer_ranges_and_soups_are_fewer_hybrids() -> None:
    whole = expected_steps(18, "sweep", 32, 21, 10)
    assert expected_steps(18, "sweep", 32, 5, 10)["ranges"] == whole["ranges"] - 16
    assert expected_steps(18, "guided", 32, 21, 10)["ranges"] < whole["ranges"]
    assert expected_steps(18, "sweep", 32, 21, 10, 3)["ranges"] == whole["ranges"] + 2 * 171 / 3
    assert expected_steps(18, "sweep", 32, 21, 0)["held-out prompts"] == 0


def test_few_soups_are_some_of_the_many() -> None:
    assert set(alphas(5)) < set(alphas(21))
    assert len(alphas(21)) == 21


def test_replies_are_part_of_it_where_they_fit(task) -> None:
    organism = ModelPair.load("organism:base", "organism:dpo", device="cpu", dtype="float32")
    some = Guards(replies=2, openings=1, max_tokens=4)
    assert ranking_cost(organism, task.thinned(1), "delta", guards=some, soups=0).parts["replies"] > 0

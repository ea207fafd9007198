"""What `analyses/proxy.py` computes with, against plain loops and scores whose truth is known."""

import numpy as np
import pytest
from scipy import stats

from analyses.outcomes.association import Means, associate, reliability, row_spearman, smallest_difference, split_half
from analyses.outcomes.proxies import PROXIES, Asked, measure_proxies
from analyses.outcomes.recipes import some_recipes
from analyses.outcomes.written import OUTCOMES, Sizes, Writer, fresh_tasks, outcomes, write_outputs
from slr_probe import ModelPair, Recipe
from slr_probe.layers import LayerRange
from slr_probe.rank.guards import Guards
from slr_probe.rank.guards.ask import read_replies
from slr_probe.sweep import sweep
from slr_probe.tasks.crc import CRCTask

FEW = Guards(replies=2, openings=1, max_tokens=12)
RNG = np.random.default_rng(3)


def test_rows_are_correlated_as_scipy_does():
    one, other = RNG.integers(0, 6, (20, 9)).astype(float), RNG.normal(size=(20, 9))
    wanted = [stats.spearmanr(a, b).statistic for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(row_spearman(one, other), wanted, atol=1e-12)
    assert np.isnan(row_spearman(np.ones((1, 4)), np.arange(4.0)[None])[0])


def test_a_recipe_that_is_mostly_undefined_is_left_out_and_does_not_take_prompts_along():
    values = RNG.normal(size=(4, 10))
    values[1, :6], values[2, 3] = np.nan, np.nan
    found = Means.of(values)
    assert found.kept.tolist() == [True, False, True, True]
    np.testing.assert_array_equal(found.values, np.delete(values[[0, 2, 3]], 3, axis=1))


def test_intervals_cover_the_true_correlation():
    """Recipes, prompts of the proxy and prompts of the outcome are all drawn anew in each of 60 studies."""
    truth, hits, power = 6 / np.pi * np.arcsin(0.7 / 2), 0, 0
    for study in range(60):
        rng = np.random.default_rng(study)
        level = rng.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], size=40)
        sides = [level[:, [k]] + 0.3 * rng.normal(size=(40, 30)) for k in (0, 1)]
        found = associate(*sides, resamples=200, seed=study)
        hits += found.spearman.low <= truth <= found.spearman.high
        power += found.spearman.low > 0
    assert hits >= 54
    assert power >= 57


def test_without_an_association_few_are_found():
    found = [associate(RNG.normal(size=(30, 8)), RNG.normal(size=(30, 8)), resamples=200) for _ in range(60)]
    assert sum(one.spearman.low > 0 or one.spearman.high < 0 for one in found) <= 9
    assert sum(one.p <= 0.05 for one in found) <= 9


def test_a_score_without_prompts_and_one_without_differences():
    outcome = RNG.normal(size=(12, 6))
    found = associate(outcome.mean(axis=1, keepdims=True), outcome)
    assert found.spearman.estimate == pytest.approx(1)
    assert found.spearman.low < 1  # prompts of the outcome are drawn all the same
    assert np.isnan(associate(np.ones((12, 3)), outcome).spearman.estimate)


def test_halves_agree_as_far_as_there_is_signal():
    signal, noise = RNG.normal(size=(60, 1)), RNG.normal(size=(60, 40))
    assert split_half(signal + 0.01 * noise) > 0.99
    assert abs(split_half(noise)) < 0.25
    middle = split_half(signal + 3 * noise)  # correlation of halves: 1 / (1 + 9 / 20) for normal scores
    assert middle == pytest.approx(6 / np.pi * np.arcsin(1 / 1.45 / 2), abs=0.15)
    whole = np.corrcoef(signal[:, 0], (signal + 3 * noise).mean(axis=1))[0, 1] ** 2
    assert reliability(middle) == pytest.approx(whole, abs=0.12)
    assert np.isnan(split_half(noise[:, :3]))


def test_the_smallest_difference_is_found_four_times_in_five():
    rows = RNG.normal(size=(2000, 25))
    rows[0] = 0
    size = smallest_difference(rows)
    p = stats.ttest_1samp(rows[1:] + size, 0, axis=1).pvalue
    assert 0.74 < (p <= 0.05).mean() < 0.84


@pytest.mark.parametrize("depth", [4, 10, 18, 32])
def test_recipes_are_spread_and_all_different(depth):
    wanted = LayerRange(1, 3)
    found = some_recipes(depth, 34, [wanted])
    assert found[0].is_tuned
    assert found[1].layers == wanted
    assert len(set(found)) == len(found) <= 34
    if depth >= 10:
        ranges = [recipe.layers for recipe in found if recipe.layers is not None]
        assert len(found) >= 30
        assert len({block for layers in ranges for block in layers}) >= 0.9 * depth
        assert max(layers.width for layers in ranges) == max(1, depth // 3)


@pytest.fixture(scope="module")
def pair():
    return ModelPair.load("organism:base", "organism:dpo", device="cpu", dtype="float32")


def test_writing_stops_in_time_and_goes_on(pair, tmp_path):
    recipes = [Recipe.tuned(10), Recipe.restore("0:9", 10)]
    writers = [Writer(str(recipe), recipe) for recipe in recipes]
    tasks = fresh_tasks(pair, Sizes(2, 3, 2, 4, 6))
    late = write_outputs(pair, writers, tasks, tmp_path, -1.0)
    assert late == {"qa": [None, None], "writing": [None, None]}
    assert all(np.isnan(values).all() for values in outcomes(tasks, late, 9, None).values())
    first = write_outputs(pair, writers[:1], tasks, tmp_path, np.inf, progress=False)
    file = next(tmp_path.glob("T1/qa/tuned*.jsonl"))
    changed = file.stat().st_mtime_ns
    both = write_outputs(pair, writers, tasks, tmp_path, np.inf, progress=False)
    assert file.stat().st_mtime_ns == changed
    assert [one[0].texts for one in both.values()] == [one[0].texts for one in first.values()]
    found = outcomes(tasks, both, len(pair.tokenizer), lambda texts: np.eye(len(texts)))
    assert tuple(found) == tuple(OUTCOMES.values())
    assert {values.shape for values in found.values()} == {(2, 2), (2, 3)}
    ended = [np.mean(one.finished, axis=1) for one in both["qa"]]
    np.testing.assert_allclose(found["answers: ended"], ended)


def test_prompts_are_not_those_that_guards_read(pair):
    replies = read_replies(pair, FEW, "crc", None, {"stream": None, "memory": "1GB"}, None).selection
    tasks = fresh_tasks(pair, Sizes(30, 130, 2, 4, 4))
    asked = {item.id for task in tasks.values() for item in task.items}
    assert len(asked) > 50
    assert not asked & {one.prompt for one in replies.written}


def test_proxies_of_tuned_and_of_a_range(pair, tmp_path):
    recipes = [Recipe.tuned(10), Recipe.restore("0:9", 10)]
    found = measure_proxies(pair, recipes, Asked(3, 1, FEW), tmp_path)
    assert tuple(found) == tuple(PROXIES)
    items = CRCTask.default().selection.items
    direct = sweep(pair, recipes, CRCTask((items[0], items[20], items[39])), progress=False)
    np.testing.assert_allclose(found["validity"], direct.validity, atol=1e-6)
    np.testing.assert_allclose(found["diversity"], direct.diversity, atol=1e-6)
    assert (found["ended_validity"] <= found["validity"][:, :1] + 1e-6).all()
    np.testing.assert_allclose(found["drift"][0], 0, atol=1e-6)
    assert (found["drift"][1] > 0).all()
    assert found["surprise"][1].mean() > found["surprise"][0].mean()
    assert abs(found["end_bias"][0, 0]) < 1e-6  # tuned ends as tuned does

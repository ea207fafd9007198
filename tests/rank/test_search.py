import copy
import json

import numpy as np
import pytest
import torch

from analyses.methods.regret import roc_auc
from slr_probe import LayerRange, ModelPair, Recipe, restored
from slr_probe.errors import RankingError, SweepError, TaskError
from slr_probe.rank import RangeRanking
from slr_probe.rank.blocks.attribution import first_order_effects
from slr_probe.rank.blocks.collapse import entropy_collapse
from slr_probe.rank.blocks.weights import changed_blocks, relative_deltas
from slr_probe.rank.candidates import controls
from slr_probe.rank.measure import Scorer
from tests.rank.conftest import DEPTH, PLANTED
from tests.rank.paper import rank_layers
from tests.tasks.exact import answer_distribution, next_token_logits


@pytest.fixture(scope="module")
def ranking(pair, task):
    return rank_layers(pair, task, floor=0.8)


@pytest.fixture(scope="module")
def planted(planted_pair, task):
    return rank_layers(planted_pair, task, floor=0.5)


def naive(pair, recipe, task):
    with restored(pair, recipe) as hybrid:
        return answer_distribution(hybrid, task.render(pair))


def test_every_row_agrees_with_swap_and_forward(pair, task, ranking):
    for row, recipe in enumerate(ranking.recipes):
        found = naive(pair, recipe, task.selection)
        np.testing.assert_allclose(ranking.validity[row], found.validity, rtol=1e-4, err_msg=str(recipe))
        np.testing.assert_allclose(ranking.diversity[row], found.diversity, rtol=1e-4, err_msg=str(recipe))


def test_held_out_rows_agree_with_swap_and_forward(pair, task, ranking):
    rows = np.flatnonzero(np.isfinite(ranking.held_validity).all(axis=1))
    assert set(ranking.order[:10]) <= set(rows)
    assert {"tuned", "base", "full", "early", "late", "random", "soup"} == set(ranking.kinds[rows]) - {"range"}
    for row in rows:
        found = naive(pair, ranking.recipes[row], task.held_out)
        np.testing.assert_allclose(ranking.held_validity[row], found.validity, rtol=1e-4)
        np.testing.assert_allclose(ranking.held_diversity[row], found.diversity, rtol=1e-4)


def test_the_choice_is_that_of_a_plain_search(pair, task, ranking):
    def score(layers):
        found = naive(pair, layers, task.selection)
        return found.validity.mean(), found.diversity.mean()

    scores = {layers: score(layers) for layers in LayerRange.all(DEPTH)}
    bar = 0.8 * naive(pair, Recipe.tuned(DEPTH), task.selection).validity.mean()
    allowed = [layers for layers, (validity, _) in scores.items() if validity >= bar]
    assert ranking.meets_floor == bool(allowed)
    expected = max(allowed, key=lambda r: scores[r][1]) if allowed else max(scores, key=lambda r: scores[r][0])
    assert ranking.best == expected


def test_controls_and_references(ranking):
    width = ranking.best.width
    recipes = {kind: [ranking.recipes[i] for i in ranking.rows(kind)] for kind in set(ranking.kinds)}
    assert recipes["early"] == [Recipe.early(width, DEPTH)]
    assert recipes["late"] == [Recipe.late(width, DEPTH)]
    assert {len(recipe.restored_blocks) for recipe in recipes["random"]} == {width}
    assert recipes["base"] == [Recipe.base(DEPTH, blocks_only=False)]
    assert recipes["full"] == [Recipe.base(DEPTH)]
    assert [recipe.blocks[0].default for recipe in recipes["soup"]] == pytest.approx(np.linspace(0, 1, 21))
    assert len(recipes["range"]) == DEPTH * (DEPTH + 1) // 2


def test_base_is_measured_on_plain_prompts_as_well(pair, task, ranking):
    plain = answer_distribution(pair.base, task.selection.render(pair, "plain"))
    assert ranking.settings["base_plain"]["validity"] == pytest.approx(plain.validity.mean(), rel=1e-4)
    assert ranking.settings["format"] == "chat"


# -- planted ranges ----------------------------------------------------------------------------------------------


def test_ranges_that_touch_no_planted_block_score_exactly_as_tuned(planted):
    tuned = planted.rows("tuned")[0]
    for row, layers in enumerate(planted.ranges):
        if not set(layers) & set(range(*PLANTED)):
            np.testing.assert_array_equal(planted.validity[row], planted.validity[tuned])
            np.testing.assert_array_equal(planted.diversity[row], planted.diversity[tuned])


def test_of_equal_ranges_the_narrowest_wins_everywhere(planted_pair, task, planted):
    groups = {}
    for layers in planted.ranges:
        groups.setdefault(frozenset(layers) & set(range(*PLANTED)), []).append(layers)
    first = {effect: min(layers, key=lambda r: (r.width, r.start)) for effect, layers in groups.items()}
    place = {planted.ranges[row]: i for i, row in enumerate(planted.order)}
    for effect, layers in groups.items():
        assert min(layers, key=place.__getitem__) == first[effect]
        assert [planted.p_best[planted.index(r)] for r in layers if r != first[effect]] == [0] * (len(layers) - 1)
    assert set(planted.pareto()) <= set(first.values())
    assert LayerRange(planted.best) in first.values()
    assert set(planted.best) <= set(range(*PLANTED)) or planted.best == LayerRange(0, 1)
    assert planted.p_best[planted.measured[: len(planted.ranges)]].sum() + planted.p_none == pytest.approx(1)


def test_equal_hybrids_are_measured_once(planted):
    # 4 distinct sets of changed blocks, base with its own outside (equal here), 19 soups between 0 and 1.
    assert planted.settings["hybrids_measured"] == 4 + 1 + 19


def test_controls_are_counted(ranking):
    # All blocks differ: 15 ranges, tuned, base, 19 soups, and random controls that are none of the ranges.
    others = {frozenset(ranking.recipes[row].restored_blocks) for row in ranking.rows("random")}
    others -= {frozenset(layers) for layers in ranking.ranges}
    assert others
    assert ranking.settings["hybrids_measured"] == 15 + 1 + 1 + 19 + len(others)


@pytest.mark.parametrize("method", ["delta", "patching", "attribution", "entropy"])
def test_cheap_methods_find_planted_blocks(planted_pair, task, method):
    found = rank_layers(planted_pair, task, method=method, floor=0.5, soups=0)
    outside = [i for i in range(DEPTH) if i not in range(*PLANTED)]
    assert (found.block_gain[outside] == 0).all()  # blocks that do not differ change exactly nothing
    assert (found.block_gain[list(range(*PLANTED))] != 0).all()
    assert set(found.best) <= set(range(*PLANTED))
    assert found.measured[: len(found.ranges)].sum() == 1
    assert np.isnan(found.p_best).all()
    if method == "delta":
        assert roc_auc(found.block_gain, range(*PLANTED)) == 1.0
        assert found.best == LayerRange(*PLANTED)


def test_patching_adds_up_to_the_effect_of_restoring_everything(pair, task, ranking):
    found = rank_layers(pair, task, method="patching", floor=0.8, soups=0)
    full, tuned = found.rows("full")[0], found.rows("tuned")[0]
    assert found.block_gain.sum() == pytest.approx(ranking.mean_diversity[full] - ranking.mean_diversity[tuned])


@pytest.mark.parametrize("sampling", [{}, {"temperature": 2.0}, {"temperature": 4.0, "min_p": 0.4}])
def test_attribution_is_the_slope_towards_base(pair, task, sampling):
    queries = task.selection.queries(pair)
    effects = first_order_effects(pair, queries, **sampling)
    step = 1e-3  # measured in float64: a small step of float32 weights is mostly rounding
    wide = ModelPair.load(
        copy.deepcopy(pair.base).double(), copy.deepcopy(pair.tuned).double(), tokenizer=pair.tokenizer, device="cpu"
    )
    before = answer_distribution(wide.tuned, task.selection.render(pair), **sampling)
    for block in range(DEPTH):
        moved = copy.deepcopy(wide.tuned)
        with torch.no_grad():
            for ours, theirs in zip(
                moved.model.layers[block].parameters(), wide.base.model.layers[block].parameters(), strict=True
            ):
                ours += step * (theirs - ours)
        after = answer_distribution(moved, task.selection.render(pair), **sampling)
        slope = (after.diversity.mean() - before.diversity.mean()) / step
        assert effects[0][block] == pytest.approx(slope, rel=0.05, abs=2e-4)
        slope = (after.validity.mean() - before.validity.mean()) / step
        assert effects[1][block] == pytest.approx(slope, rel=0.05, abs=2e-4)
    assert all(p.requires_grad and p.grad is None for p in pair.tuned.parameters())


def test_attribution_of_prompts_without_valid_mass_is_nothing(pair, task):
    effects = first_order_effects(pair, task.selection.queries(pair), min_p=1.0)
    np.testing.assert_array_equal(effects, np.zeros((2, DEPTH)))


@pytest.mark.parametrize("method", ["attribution", "entropy", "patching"])
def test_cheap_methods_score_at_the_temperature_and_min_p_of_the_ranking(pair, task, method):
    found = [
        rank_layers(pair, task, method=method, soups=0, **sampling).block_gain
        for sampling in ({}, {"temperature": 4.0}, {"min_p": 0.1})
    ]
    assert not np.allclose(found[0], found[1])
    assert not np.allclose(found[0], found[2])


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_collapse_compares_blocks_on_one_input(pair, planted_pair, task, temperature):
    queries = task.selection.queries(pair)
    found = entropy_collapse(pair, queries, temperature=temperature)
    # By hand for the last block, whose output the model reads itself: run base's last block in tuned's place.
    last = DEPTH - 1
    logits = [next_token_logits(pair.tuned, queries)]
    with restored(pair, LayerRange(last, DEPTH)) as hybrid:
        logits.insert(0, next_token_logits(hybrid, queries))
    logs = [[(row / temperature).log_softmax(0) for row in some] for some in logits]
    base, tuned = (np.mean([-(row.exp() * row).sum() for row in some]) for some in logs)
    assert found[last] == pytest.approx(base - tuned, abs=1e-5)


def test_a_pair_without_any_difference(planted_pair, task):
    same = ModelPair.load(planted_pair.base, planted_pair.base, tokenizer=planted_pair.tokenizer, device="cpu")
    found = rank_layers(same, task)
    assert any("no block differs" in note for note in found.notes)
    assert found.best == LayerRange(0, 1)
    assert (found.diversity[: len(found.ranges)] == found.diversity[found.rows("tuned")[0]]).all()


# -- methods -----------------------------------------------------------------------------------------------------


def test_guided_measures_only_what_is_proposed_and_as_the_sweep_does(pair, task, ranking):
    found = rank_layers(pair, task, method="guided", proposals=4, floor=0.8, soups=0)
    rows = np.flatnonzero(found.measured[: len(found.ranges)])
    assert len(rows) == 4
    np.testing.assert_allclose(found.validity[rows], ranking.validity[rows], rtol=1e-5)
    proposed = set(np.argsort(-found.score[: len(found.ranges)])[:4])  # no two of them are one hybrid
    assert proposed == set(rows)
    assert {found.index(layers) for layers in found.top(4)} == proposed
    everything = rank_layers(pair, task, method="guided", proposals=99, floor=0.8, soups=0)
    np.testing.assert_array_equal(everything.order, ranking.order)


def test_guided_proposes_no_hybrid_twice(planted_pair, task, planted):
    found = rank_layers(planted_pair, task, method="guided", proposals=3, floor=0.5, soups=0)
    rows = np.flatnonzero(found.measured[: len(found.ranges)])
    assert {tuple(found.ranges[row]) for row in rows} == {(1,), (2,), (1, 2)}
    assert found.best == planted.best or planted.best == LayerRange(0, 1)


def test_streamed_and_resident_agree(tmp_path, planted_pair, task, planted):
    for side in ("base", "tuned"):
        getattr(planted_pair, side).save_pretrained(tmp_path / side)
        planted_pair.tokenizer.save_pretrained(tmp_path / side)
    pair = ModelPair.load(tmp_path / "base", tmp_path / "tuned", device="cpu")
    found = rank_layers(pair, task, floor=0.5, stream=True)
    assert "tuned" not in vars(pair)  # no model was loaded
    np.testing.assert_allclose(found.validity, planted.validity, rtol=1e-5)
    np.testing.assert_array_equal(found.changed, planted.changed)
    assert found.best == planted.best


@pytest.mark.parametrize("stream", [True, False])
def test_blocks_are_compared_in_the_dtype_that_is_computed_in(tmp_path, planted_pair, stream):
    """Base in float32 and a little off, tuned in bfloat16: in bfloat16 only the planted blocks differ."""
    tuned = copy.deepcopy(planted_pair.tuned).bfloat16()
    base = copy.deepcopy(planted_pair.base).bfloat16().float()
    with torch.no_grad():
        for parameter in base.parameters():
            parameter.mul_(1.0001)
    for side, model in (("base", base), ("tuned", tuned)):
        model.save_pretrained(tmp_path / side)
        planted_pair.tokenizer.save_pretrained(tmp_path / side)

    def changed(loaded, **options):
        pair = ModelPair.load(tmp_path / "base", tmp_path / "tuned", dtype=loaded, device="cpu")
        return changed_blocks(pair, stream=stream, **options), relative_deltas(pair, stream=stream)

    planted = frozenset(range(*PLANTED))
    blocks, deltas = changed("bfloat16")
    assert blocks == planted
    assert set(np.flatnonzero(deltas)) == planted
    assert changed("float32")[0] == frozenset(range(DEPTH))
    assert changed("float32", dtype="bfloat16")[0] == planted


def test_the_same_seed_gives_the_same_ranking(pair, task, ranking):
    again = rank_layers(pair, task, floor=0.8)
    assert again.to_dict() == ranking.to_dict()


def test_a_killed_search_goes_on(pair, task, ranking, tmp_path, monkeypatch):
    rank_layers(pair, task, floor=0.8, out=tmp_path)
    from slr_probe.sweep import run

    def no_more(*args, **kwargs):
        raise AssertionError("a finished sweep was run again")

    monkeypatch.setattr(run, "_measure", no_more)
    done = {path.name for path in tmp_path.iterdir()}
    assert [sum(name.startswith(part) for name in done) for part in ("selection-", "held-out-")] == [3, 2]
    found = Scorer(pair, task.selection.render(pair), frozenset(range(DEPTH)), {}, tmp_path / "selection")
    found(
        [Recipe.restore(layers, DEPTH) for layers in LayerRange.all(DEPTH)]
        + [ranking.recipes[i] for i in range(15, 39)]
    )


def test_another_seed_or_floor_reuses_the_sweep_of_all_ranges(pair, task, tmp_path, monkeypatch):
    from slr_probe.sweep import run

    stores, ran, measure, measured = [], [], run._measure, run.measured
    first = rank_layers(pair, task, soups=0, out=tmp_path)

    def counted(request, ready, recipes, rows, done):
        ran.append((stores[-1].folder.name if stores[-1] else "", len(recipes)))
        return measured(request, ready, recipes, rows, done)

    def noted(request, limit, store, *rest, **options):
        stores.append(store)
        return measure(request, limit, store, *rest, **options)

    monkeypatch.setattr(run, "measured", counted)
    monkeypatch.setattr(run, "_measure", noted)
    for change in ({"seed": 1}, {"floor": 0.5}, {"level": 0.8}):
        again = rank_layers(pair, task, soups=0, out=tmp_path, **change)
        rows = slice(len(first.ranges) + 3)
        np.testing.assert_array_equal(again.validity[rows], first.validity[rows])
    again = [count for name, count in ran if name.startswith("selection")]
    assert max(again, default=0) < len(first.ranges)
    with pytest.raises(SweepError, match=r"another sweep.*measure"):
        rank_layers(pair, task, soups=0, out=tmp_path, temperature=2.0)


# -- tasks and bad input -----------------------------------------------------------------------------------------


def test_tasks_of_ones_own(pair, tmp_path):
    items = [("Pick a or b.", ["a", "b"]), ("Pick 1 or 2.", ["1", "2"])]
    path = tmp_path / "task.json"
    path.write_text(json.dumps([{"prompt": prompt, "answers": answers} for prompt, answers in items]))
    one, two = rank_layers(pair, items), rank_layers(pair, path)
    np.testing.assert_array_equal(one.validity, two.validity)
    assert one.held_validity.shape[1] == 0
    assert any("optimistic" in note for note in one.notes)
    assert "held out" not in repr(one).split("note")[0]

    class Own:
        def queries(self, pair):
            from slr_probe.tasks import CRCTask

            return CRCTask.of(items).queries(pair)

    np.testing.assert_array_equal(rank_layers(pair, Own()).validity, one.validity)


def test_a_single_prompt_has_scores_but_no_intervals(pair):
    found = rank_layers(pair, [("Pick a or b.", ["a", "b"])])
    assert np.isnan(found.p_best).all()
    table = found.to_dataframe()
    assert table["validity"].notna().all()
    assert table["validity_low"].isna().all()
    json.dumps(found.to_dict(), allow_nan=False)
    assert "[nan" not in repr(found)


@pytest.mark.parametrize("floor", [0, -0.5, 1.01, float("nan"), "0.9", True, None])
def test_floor_outside_its_range(pair, task, floor):
    with pytest.raises(RankingError, match="above 0 and not above 1"):
        rank_layers(pair, task, floor=floor)


def test_other_bad_input(pair, task):
    with pytest.raises(RankingError, match=r"unknown method 'magic'.*sweep, race, guided, delta, entropy, patching"):
        rank_layers(pair, task, method="magic")
    with pytest.raises(RankingError, match="unknown scorer"):
        rank_layers(pair, task, method="guided", scorer="sweep")
    with pytest.raises(RankingError, match="at least 1"):
        rank_layers(pair, task, method="guided", proposals=0)
    with pytest.raises(TaskError, match="no prompts"):
        rank_layers(pair, [])
    with pytest.raises(TaskError, match="a task is"):
        rank_layers(pair, 7)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"level": 95}, RankingError, "level must lie between 0 and 1.*got 95"),
        ({"level": "high"}, RankingError, "level must lie"),
        ({"resamples": 0}, RankingError, "resamples must be a whole number of at least 1; got 0"),
        ({"seed": -1}, RankingError, "seed must be a whole number of at least 0; got -1"),
        ({"held_out": 2.5}, RankingError, "held_out must be a whole number of at least 1; got 2.5"),
        ({"proposals": True}, RankingError, "proposals must be a whole number of at least 1; got True"),
        ({"memory": "lots"}, SweepError, "memory must be a size"),
        ({"temperature": -1}, SweepError, "temperature must be above 0"),
        ({"min_p": 2}, SweepError, "min_p must lie in"),
        ({"dtype": "int8"}, SweepError, "unknown dtype"),
    ],
)
def test_bad_numbers_are_refused_before_any_model_is_loaded(pair_of, arguments, error, message):
    pair = ModelPair.load(*pair_of("llama").folders)
    with pytest.raises(error, match=message) as caught:
        rank_layers(pair, method="attribution", **arguments)
    assert "\n" not in str(caught.value)
    assert not {"base", "tuned"} & vars(pair).keys()


def test_a_tuned_model_without_any_valid_mass(pair, task, monkeypatch):
    recipes = []
    measure = Scorer._measure
    monkeypatch.setattr(Scorer, "_measure", lambda self, new: (recipes.extend(new), measure(self, new)))
    with pytest.raises(RankingError, match=r"tuned gives the valid answers of all 6 selection prompts no.*lower min_p"):
        rank_layers(pair, task, min_p=1.0)
    assert recipes == [Recipe.tuned(DEPTH)]  # and no range was swept


def test_save_and_load(ranking, tmp_path):
    loaded = RangeRanking.load(ranking.save(tmp_path / "ranking"))
    assert loaded.to_dict() == ranking.to_dict()
    assert loaded.best == ranking.best
    assert repr(loaded) == repr(ranking)


def test_controls_are_other_sets_than_the_best():
    for best, depth in [(LayerRange("0:9"), 10), (LayerRange("3:5"), 8), (LayerRange("0:1"), 2)]:
        early, late, *others = controls(best, depth, seed=0)
        assert (early.recipe, late.recipe) == (Recipe.early(best.width, depth), Recipe.late(best.width, depth))
        recipes = [row.recipe for row in others]
        assert len(set(recipes)) == len(recipes)
        assert not set(recipes) & {early.recipe, late.recipe, Recipe.restore(best, depth)}
        assert all(len(recipe.restored_blocks) == best.width for recipe in recipes)


def test_what_a_few_prompts_leave_open_is_null(pair):
    items = [("Pick a or b.", ["a", "b"]), ("Pick c or d.", ["c", "d"]), ("Say e or f.", ["e", "f"])]
    data = json.loads(json.dumps(rank_layers(pair, items).to_dict(), allow_nan=False))
    assert data["interaction"][0]["low"] is None

"""Families beyond whole ranges: what they restore, and the best of each beside the best range."""

import numpy as np
import pytest
import torch

from slr_probe import LayerRange, rank_layers, restored
from slr_probe.errors import RankingError
from slr_probe.rank.candidates import FAMILIES, wider_rows
from slr_probe.rank.measure import Scorer
from slr_probe.stats.compare import adjusted_tests
from tests.rank.conftest import DEPTH


@pytest.fixture(scope="module")
def ranking(pair, task):
    return rank_layers(pair, task, soups=0, candidates=FAMILIES, guards=None, held_out=2, resamples=100)


def test_every_family_holds_every_range_once():
    rows = wider_rows(4, {"attention", "half"})
    assert [row.kind for row in rows] == ["attention"] * 10 + ["half"] * 10
    for row, layers in zip(rows, [*LayerRange.all(4)] * 2, strict=True):
        assert row.recipe.restored_blocks == tuple(layers)
        assert row.recipe.layers is None  # none is a range of whole blocks


def test_parts_are_restored_and_nothing_else(pair):
    base, tuned = (model.model.layers[1] for model in (pair.base, pair.tuned))
    kept = {name: tensor.clone() for name, tensor in tuned.named_parameters()}
    for row in wider_rows(DEPTH, {"attention", "mlp", "half"}):
        if row.recipe.restored_blocks != (1,):
            continue
        with restored(pair, row.recipe):
            for name, found in tuned.named_parameters():
                source = base.get_parameter(name)
                inside = row.kind == "half" or {"attention": "self_attn", "mlp": "mlp"}[row.kind] in name.split(".")
                share = 0.5 if row.kind == "half" else 0.0
                expected = share * kept[name] + (1 - share) * source if inside else kept[name]
                torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_the_best_of_a_family_is_best_under_the_same_rule(ranking):
    assert [found.family for found in ranking.wider] == ["attention", "mlp", "half"]
    for found in ranking.wider:
        rows = ranking.rows(found.family)
        allowed = [row for row in rows if ranking.mean_validity[row] >= ranking.required_validity]
        assert found.allowed == bool(allowed)
        assert ranking.mean_diversity[found.row] == max(ranking.mean_diversity[allowed])
        assert ranking.recipes[found.row] == found.recipe
        assert str(found.recipe) in repr(ranking.to_dict())


def test_it_is_compared_with_the_best_range_on_held_out_prompts(ranking):
    best = int(ranking.order[0])
    moved = [ranking.held_diversity[best] - ranking.held_diversity[found.row] for found in ranking.wider]
    assert [found.gap.difference.value for found in ranking.wider] == pytest.approx([one.mean() for one in moved])
    assert [found.gap.p for found in ranking.wider] == pytest.approx(adjusted_tests(moved).tolist())
    measured = np.isfinite(ranking.held_diversity).all(axis=1)
    assert [measured[ranking.rows(family)].sum() for family in FAMILIES[1:]] == [2, 2, 2]


def test_scores_are_those_of_the_recipe_alone(ranking, pair, task):
    found = ranking.wider[2]
    validity, diversity = Scorer(pair, task.selection.render(pair), frozenset(range(DEPTH)))([found.recipe])
    np.testing.assert_allclose(ranking.validity[found.row], validity[0], atol=1e-6)
    np.testing.assert_allclose(ranking.diversity[found.row], diversity[0], atol=1e-5)


def test_whole_ranges_are_ranked_as_without_them(ranking, pair, task):
    alone = rank_layers(pair, task, soups=0, guards=None, held_out=2, resamples=100)
    assert alone.wider == ()
    assert ranking.choice == alone.choice
    assert ranking.order.tolist() == alone.order.tolist()
    np.testing.assert_allclose(ranking.p_best, alone.p_best)


def test_it_is_shown(ranking):
    shown = repr(ranking)
    for found in ranking.wider:
        assert f"{-found.gap.difference.value:+.3f}" in shown
    labels = [text.get_text() for text in ranking.plot().legends[0].get_texts()]
    assert "MLP of ranges alone" in labels


@pytest.mark.parametrize(
    "bad", [{"candidates": ("blocks",)}, {"candidates": ()}, {"candidates": "mlp", "method": "delta"}]
)
def test_families_that_are_none_are_refused(pair, task, bad):
    with pytest.raises(RankingError, match=r"candidates|whole ranges only"):
        rank_layers(pair, task, **bad)

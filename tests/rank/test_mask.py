"""Masks as a ranker, and what binary masks are worth."""

import numpy as np
import pytest

from analyses.methods.regret import roc_auc
from slr_probe import Recipe, restored
from slr_probe.errors import MaskError
from slr_probe.probes.mask.examples import load_examples
from slr_probe.probes.mask.learn import learn_layer_mask
from slr_probe.probes.mask.model import token_losses
from slr_probe.probes.mask.rates import MaskRates, recipe_losses, score_mask_rates
from slr_probe.sweep import sweep
from tests.rank.paper import rank_layers

TALKS = [
    [{"role": "user", "content": f"Pick {w}."}, {"role": "assistant", "content": w * 2}]
    for w in ("a", "bc", "def", "gh", "i")
]


@pytest.fixture(scope="module")
def mask(pair):
    return learn_layer_mask(pair, TALKS, steps=4, batch_size=2)


def test_method_mask(planted_pair, task):
    found = rank_layers(planted_pair, task, method="mask", soups=0)
    assert found.method == "mask"
    assert roc_auc(found.block_gain, range(1, 3)) == 1.0
    np.testing.assert_array_equal(found.block_gain[[0, 3, 4]], 0.0)
    assert set(found.best) <= {1, 2}
    above = found.block_gain - found.block_gain.mean()
    for layers, score in zip(found.ranges, found.score, strict=False):
        assert score == pytest.approx(above[layers.start : layers.stop].sum())
    same = rank_layers(planted_pair, task, method="mask", soups=0)
    np.testing.assert_array_equal(same.score, found.score)


def test_agreement_with_the_exhaustive_sweep(pair, task):
    sweep_all, found = (rank_layers(pair, task, method=m, soups=0, floor=0.1) for m in ("sweep", "mask"))
    how = found.agreement(sweep_all)
    assert how.count == 15
    assert -1 <= how.spearman <= 1
    assert found.agreement(found).spearman == pytest.approx(1)
    guided = rank_layers(pair, task, method="guided", scorer="mask", proposals=15, soups=0, floor=0.1)
    assert guided.best == sweep_all.best  # with every range measured the proposals' order does not matter


def test_nothing_changed(pair, task):
    from slr_probe import ModelPair

    same = ModelPair.load(pair.base, pair.base, tokenizer=pair.tokenizer, device="cpu")
    found = rank_layers(same, task, method="mask", soups=0)
    np.testing.assert_array_equal(found.block_gain, 0.0)


def test_losses_of_recipes_are_those_of_restored_models(pair):
    recipes = [Recipe.tuned(5), Recipe.restore("1:3", 5), Recipe.restore("0:5", 5, only=["q", "down"]), Recipe.base(5)]
    found, counts = recipe_losses(pair, recipes, TALKS, batch_size=2)
    examples = load_examples(pair, TALKS)
    np.testing.assert_array_equal(counts, [sum(e.replies) for e in examples])
    for recipe, row in zip(recipes, found, strict=True):
        with restored(pair, recipe) as model:
            want = [float(token_losses(model, [e])[0].detach().sum()) for e in examples]
        np.testing.assert_allclose(row, want, rtol=1e-5)


def test_rates(pair, task, mask, tmp_path):
    prompts = task.selection
    found = score_mask_rates(pair, mask, TALKS, rates=(0.25, 0.5, 1.0), task=prompts, progress=False)
    assert found.kinds == ("mask", "random", "reversed", "mask", "random", "reversed", "mask")
    assert found.recipes[0] == Recipe.from_mask(mask, keep=0.25)
    assert found.recipes[-1].is_tuned
    direct = sweep(pair, found.recipes, prompts.render(pair), progress=False)
    np.testing.assert_allclose(found.validity, direct.validity)
    np.testing.assert_allclose(found.diversity, direct.diversity)
    losses, counts = recipe_losses(pair, found.recipes, TALKS)
    np.testing.assert_allclose(found.loss, losses / counts)
    change = found.interval("loss", against_tuned=True)
    assert change.estimate[-1] == change.low[-1] == change.high[-1] == 0.0
    assert change.estimate[0] == pytest.approx(found.loss[0].mean() - found.loss[-1].mean())
    kept = [sum(not b.is_base for b in recipe.blocks) for recipe in found.recipes]
    assert max(kept) == 5
    again = MaskRates.load(found.save(tmp_path / "rates"))
    assert again.to_dataframe().equals(found.to_dataframe())
    with pytest.raises(MaskError, match="unknown measure"):
        found.interval("speed")
    with pytest.raises(MaskError, match="no row of rate"):
        score_mask_rates(pair, mask, TALKS, rates=(0.5,), task=prompts).interval("loss", against_tuned=True)

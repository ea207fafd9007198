"""A change split into order and shape: from the read-out of the sweep, beside the distributions themselves."""

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu

from slr_probe import rank_layers, restored
from slr_probe.sweep import sweep
from slr_probe.tasks import CRCItem, CRCTask


@pytest.fixture(scope="module")
def ranking(pair, task):
    return rank_layers(pair, task, soups=0, guards=None, held_out=2, resamples=100)


def own_order(pair, recipe, query):
    """The area and the kept mass of one distribution, from the model's own logits."""
    with restored(pair, recipe) as hybrid, torch.no_grad():
        logits = hybrid(input_ids=torch.tensor([query.token_ids])).logits[0, -1].double().numpy()
    spelled = {token for of in query.answers for token in of}
    best = [max(logits[token] for token in of) for of in query.answers]
    others = np.delete(logits, sorted(spelled))
    top = np.argsort(-logits)[: len(best)]
    mass = np.exp(logits[top] - logits.max())
    kept = mass[[token in spelled for token in top]].sum() / mass.sum()
    return mannwhitneyu(best, others).statistic / len(best) / len(others), kept


def test_the_sweep_reads_what_the_model_says(pair, task):
    queries = task.selection.queries(pair)[:3]
    result = sweep(pair, ["1:3", "0:5"], queries, order=True, progress=False)
    expected = [[own_order(pair, recipe, query) for query in queries] for recipe in result.recipes]
    np.testing.assert_allclose(result.order_scores, expected, atol=1e-5)
    without = sweep(pair, ["1:3", "0:5"], queries, progress=False)
    assert without.order_scores.size == 0
    np.testing.assert_array_equal(without.answer_logprobs, result.answer_logprobs)


def test_answers_of_several_tokens_have_no_order(pair):
    items = (CRCItem("Pick one.", ("a", "b")), CRCItem("Pick another.", ("ab", "cd")))
    queries = CRCTask(items).queries(pair)
    assert [bool(query.longer) for query in queries] == [False, True]
    result = sweep(pair, ["1:3"], queries, order=True, progress=False)
    assert np.isfinite(result.order_scores[0]).all(axis=-1).tolist() == [True, False]


def test_parts_are_means_of_held_out_prompts(ranking):
    found = ranking.split
    assert found.held_out
    assert found.row == ranking.order[0]
    order, cut, shape = found.parts
    assert order.hybrid == pytest.approx(ranking.held_curve_order[1, :, 0].mean())
    assert cut.tuned == pytest.approx(ranking.held_curve_order[0, :, 1].mean())
    assert shape.change.value == pytest.approx(
        (ranking.held_diversity[found.row] - ranking.held_diversity[ranking.tuned]).mean()
    )
    for part in found.parts:
        assert part.change.value == pytest.approx(part.hybrid - part.tuned)
        assert part.change.low <= part.change.value <= part.change.high
        assert f"{part.hybrid:.3f} instead of {part.tuned:.3f}" in repr(ranking)


def test_a_ranking_without_held_out_prompts_says_so(pair, task):
    found = rank_layers(pair, task.selection, soups=0, guards=None, resamples=50)
    assert not found.split.held_out
    assert found.to_dict()["order_and_shape"]["prompts"] == 6

import numpy as np
import pandas as pd

from slr_probe.lineage import lineage_from_outputs, lineage_from_scores
from slr_probe.lineage.losses import changes
from slr_probe.stats.interval import mean_interval
from tests.lineage.stages import STAGES


def test_losses_and_what_is_left_sum_to_base():
    table = pd.DataFrame(np.random.default_rng(0).uniform(0.1, 1, (4, 5)), columns=list("abcde"))
    found = lineage_from_scores(table)
    np.testing.assert_allclose(100 + found.stage_loss.sum(axis=1).to_numpy(), found.retained["e"], rtol=1e-12)
    np.testing.assert_allclose(100 + found.mean_stage_loss.sum(), found.mean_retained["e"], rtol=1e-12)


def test_a_base_that_says_nothing_is_undefined_not_zero():
    silent = STAGES[0][1].map(lambda text: "")
    found = lineage_from_outputs([("base", silent), STAGES[1]], vocabulary=1000)
    assert np.isnan(found.stage_loss.to_numpy()).all()
    assert "undefined" in repr(found)


def test_percents_of_a_base_that_may_have_nothing_are_undefined():
    """One prompt of eight carries all of base: a draw without it has nothing, and percents of it explode."""
    rng = np.random.default_rng(0)
    solid, thin = rng.uniform(0.4, 0.8, (3, 8)), np.zeros((3, 8))
    thin[0, 0] = 0.02
    thin[1:] = rng.uniform(0.0, 0.3, (2, 8))
    found = changes(np.stack([solid, thin]), [-1, 0, 1], [["a"] * 8] * 2)
    assert found.defined.tolist() == [True, False]
    assert np.isnan(found.loss.estimate[1]).all()
    assert np.isnan(found.retained.high[1]).all()
    ratio = 100 * solid[1:].mean(axis=1) / solid[0].mean()
    np.testing.assert_allclose(found.mean_retained.estimate, ratio, rtol=1e-12)


def test_one_value_a_task_has_no_interval_to_reach_zero():
    found = changes(np.array([[[0.01], [0.02]]]), [-1, 0], [[]])
    assert found.retained.estimate[0, 0] == 200


def test_a_base_that_some_resample_leaves_with_nothing_is_undefined_above_an_interval_of_its_own():
    """Four prompts of twelve carry base: its interval lies above 0, but some draws hold none of the four."""
    base = np.repeat([0.02, 0.0], [4, 8])
    assert mean_interval(base).low > 0
    found = changes(np.stack([base, np.full(12, 0.4), np.full(12, 0.2)])[None], [-1, 0, 1], [["a"] * 12])
    assert not found.defined.any()
    assert np.isnan(found.mean_loss.estimate).all()

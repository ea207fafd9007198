import numpy as np
import pandas as pd

from slr_probe.lineage import lineage_from_outputs, lineage_from_scores
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

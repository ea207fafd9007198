import numpy as np
import pytest

from slr_probe.errors import SlrProbeError
from slr_probe.scoring.decompose import decompose

NAN = np.nan


def test_parts_sum_and_follow_the_definition():
    rng = np.random.default_rng(0)
    scores = {name: (rng.uniform(0.5, 1, 30), rng.uniform(0, 0.5, 30)) for name in ("base", "sft", "dpo")}
    found = decompose(scores)
    for i, (whole, correct) in enumerate(scores.values()):
        assert found.diversity.estimate[i] == pytest.approx(whole.mean(), rel=1e-12)
        assert found.quality_control.estimate[i] == pytest.approx((whole - correct).mean(), rel=1e-9)
    np.testing.assert_allclose(found.residual.estimate + found.quality_control.estimate, found.diversity.estimate)
    np.testing.assert_allclose(
        found.loss.estimate, found.residual_loss.estimate + found.quality_control_loss.estimate, atol=1e-12
    )
    assert found.loss.estimate[0] == found.loss.low[0] == found.loss.high[0] == 0
    table = found.to_dataframe().set_index("model")
    assert table.loc["dpo", "residual_share_of_loss"] == pytest.approx(
        (scores["base"][1] - scores["dpo"][1]).mean() / (scores["base"][0] - scores["dpo"][0]).mean()
    )


def test_a_prompt_counts_only_where_every_model_has_both():
    base = np.array([0.8, 0.6, 0.9, 0.7]), np.array([0.5, 0.5, NAN, 0.1])
    tuned = np.array([0.4, NAN, 0.1, 0.5]), np.array([0.3, 0.3, 0.1, 0.1])
    found = decompose({"base": base, "tuned": tuned})
    assert (found.defined, found.defined_each, found.prompts) == (2, (3, 3), 4)
    np.testing.assert_allclose(found.loss.estimate, [0, 0.3])  # prompts 0 and 3
    np.testing.assert_allclose(found.residual_loss.estimate, [0, 0.1])


def test_no_correct_output_at_all():
    nothing = np.full(5, NAN)
    found = decompose({"base": (np.ones(5), nothing), "tuned": (np.ones(5), nothing)})
    assert found.defined == 0
    assert np.isnan(found.diversity.estimate).all()
    assert len(found.to_dataframe()) == 2


def test_different_prompts_are_refused():
    with pytest.raises(SlrProbeError, match="same prompts"):
        decompose({"base": (np.ones(3), np.ones(3)), "tuned": (np.ones(4), np.ones(4))})

import numpy as np
import pytest

from slr_probe import LayerRange
from slr_probe.errors import RankingError
from slr_probe.rank.findings.interaction import interactions
from slr_probe.show.charts.interaction import plot_interaction
from slr_probe.show.words.interaction import interaction_sentence
from slr_probe.stats.compare import holm, paired_test

GAINS = np.array([0.05, 0.1, 0.02])


def additive(together=0.0):
    """Every block adds its own gain; the range of all of them adds something on top."""
    ranges = LayerRange.all(3)
    return {str(r): (1.0, 0.2 + GAINS[r.start : r.stop].sum() + together * (r.width == 3)) for r in ranges}


def test_gains_that_add_up_do_not_interact(ranking_of):
    ranking = ranking_of(3, additive(), tuned=(1.0, 0.2))
    np.testing.assert_allclose(interactions(ranking), 0, atol=1e-12)


def test_what_is_gained_together_is_the_interaction(ranking_of):
    ranking = ranking_of(3, additive(0.3), tuned=(1.0, 0.2), noise=0.01, prompts=20)
    found = ranking.interaction()
    by_hand = ranking.diversity[ranking.index("0:3")] - ranking.diversity[ranking.index("0:1")]
    by_hand = by_hand - ranking.diversity[ranking.index("1:3")] + ranking.diversity[ranking.tuned]
    np.testing.assert_allclose(interactions(ranking)[0], by_hand)
    assert found.estimate == pytest.approx([0.3, 0.3], abs=0.02)
    assert ((found.low < found.estimate) & (found.estimate < found.high)).all()
    assert (found.low > 0).all()
    axis = plot_interaction(ranking).axes[0]
    np.testing.assert_allclose(axis.get_lines()[1].get_ydata(), found.estimate)


def test_ranges_that_were_not_measured_are_said(ranking_of):
    ranking = ranking_of(3, {"0:1": (1.0, 0.2)}, method="delta", score=np.zeros(6))
    with pytest.raises(RankingError, match="did not measure"):
        ranking.interaction()
    assert ranking.interactions == ()
    assert interaction_sentence(ranking) == ""


def test_every_split_has_an_adjusted_p_and_only_confirmed_ones_are_claimed(ranking_of):
    ranking = ranking_of(3, additive(0.3), tuned=(1.0, 0.2), noise=0.01, prompts=20)
    expected = holm(np.array([paired_test(values) for values in interactions(ranking)]))
    assert [one.p for one in ranking.interactions] == pytest.approx(expected.tolist())
    assert [(one.split, one.state) for one in ranking.interactions] == [(1, "more"), (2, "more")]
    assert "together bring more at 2 of 2 splits than the sum" in interaction_sentence(ranking)
    data = ranking.to_dict()["interaction"]
    assert [one["value"] for one in data] == pytest.approx(ranking.interaction().estimate.tolist())
    noise = ranking_of(3, additive(), tuned=(1.0, 0.2), noise=0.3, prompts=20)
    assert {one.state for one in noise.interactions} == {"same"}
    assert "neither more nor less at any of 2 splits" in interaction_sentence(noise)

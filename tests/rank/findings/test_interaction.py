import numpy as np
import pytest

from slr_probe import LayerRange
from slr_probe.errors import RankingError
from slr_probe.rank.findings.interaction import interactions
from slr_probe.show.charts.interaction import plot_interaction

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

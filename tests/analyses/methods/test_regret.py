from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from analyses.methods.regret import random_regret, regret_curve, roc_auc, spearman_interval
from slr_probe.errors import RankingError
from slr_probe.rank.guards import Guards
from tests.rank.conftest import ranking_of  # noqa: F401 (a fixture)
from tests.rank.guards.replies import table_of

SCORES = {
    "0:1": (0.98, 0.3),
    "0:2": (0.95, 0.5),
    "0:3": (0.4, 0.95),  # misses the floor
    "1:2": (0.93, 0.6),
    "1:3": (0.91, 0.55),
    "2:3": (0.92, 0.1),  # less diverse than tuned, which has 0.2
}
WORTH = np.array([0.3, 0.5, 0.2, 0.6, 0.55, 0.2])


def test_regret_by_hand(ranking_of):  # noqa: F811
    found = ranking_of(3, SCORES)
    order = np.array([2, 5, 0, 1, 4, 3])
    np.testing.assert_allclose(regret_curve(found, order), [0.4, 0.4, 0.3, 0.1, 0.05, 0.0], atol=1e-9)
    np.testing.assert_allclose(regret_curve(found, found.order), np.zeros(6), atol=1e-9)


def test_random_regret_is_the_mean_over_all_orders(ranking_of):  # noqa: F811
    found = ranking_of(3, SCORES)
    curves = [regret_curve(found, np.array(order)) for order in permutations(range(6))]
    np.testing.assert_allclose(random_regret(found), np.mean(curves, axis=0), atol=1e-9)
    assert random_regret(found)[0] == pytest.approx(0.6 - WORTH.mean())


def test_orders_and_rankings_are_checked(ranking_of):  # noqa: F811
    found = ranking_of(3, SCORES)
    with pytest.raises(RankingError, match="each of the 6 ranges once"):
        regret_curve(found, np.array([0, 0, 1, 2, 3, 4]))
    with pytest.raises(RankingError, match="did not measure every range"):
        random_regret(ranking_of(3, {"0:1": (0.9, 0.5)}, method="delta", score=[1.0] * 6))


def test_the_correlation_is_drawn_again_with_the_prompts(ranking_of):  # noqa: F811
    cheap = ranking_of(3, {}, method="delta", score=[1.0, 2.0, 3.0, 5.0, 6.0, 4.0])
    sure = ranking_of(3, SCORES)  # all prompts alike: every resample gives the same order
    found = spearman_interval(sure, cheap)
    wanted = stats.spearmanr([1, 2, 3, 5, 6, 4], [3, 4, 1, 6, 5, 2]).statistic
    np.testing.assert_allclose([found.estimate, found.low, found.high], wanted, atol=1e-9)
    noisy = spearman_interval(ranking_of(3, SCORES, noise=0.2), cheap)
    assert noisy.low < noisy.high
    again = spearman_interval(ranking_of(3, SCORES, noise=0.2), cheap)
    assert (noisy.low, noisy.high) == (again.low, again.high)
    flat = spearman_interval(sure, ranking_of(3, {}, method="delta", score=[1.0] * 6))
    assert np.isnan(flat.estimate)


def test_what_guards_exclude_is_excluded_in_every_resample(ranking_of):  # noqa: F811
    """With all prompts alike the interval is the estimate, with guards as well."""
    sure, cheap = ranking_of(3, SCORES), ranking_of(3, {}, method="delta", score=[1.0, 2.0, 3.0, 5.0, 6.0, 4.0])
    ending, surprise = np.full(len(sure.kinds), 0.6), np.ones(len(sure.kinds))
    ending[int(sure.order[0])] = 0.1
    table = table_of(ending, surprise)
    replies = {"reply_prompt": table.prompt, "reply_place": table.place, "reply_scores": table.scores}
    guarded = replace(sure, guards=Guards().to_dict(), **replies)
    assert guarded.order[0] != sure.order[0]
    found = spearman_interval(guarded, cheap)
    assert found.estimate != spearman_interval(sure, cheap).estimate
    np.testing.assert_allclose([found.low, found.high], found.estimate, atol=1e-9)


def test_roc_auc():
    scores = np.random.default_rng(0).normal(size=12)
    scores[5] = scores[2]
    inside = {2, 3, 4}
    pairs = [(scores[i], scores[j]) for i in inside for j in range(12) if j not in inside]
    assert roc_auc(scores, inside) == pytest.approx(
        np.mean([1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs])
    )
    with pytest.raises(RankingError, match="inside and outside"):
        roc_auc(scores, range(12))

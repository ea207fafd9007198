import json

import numpy as np
import pandas as pd
import pytest

from slr_probe import LayerRange
from slr_probe.errors import LayerRangeError, RankingError
from slr_probe.rank.blocks.scorers import BlockScores
from slr_probe.rank.order import front, order_by
from slr_probe.stats import mean_interval

SCORES = {
    "0:1": (0.98, 0.30),
    "0:2": (0.95, 0.50),
    "0:3": (0.40, 0.95),
    "1:2": (0.93, 0.60),
    "1:3": (0.91, 0.60),
    "2:3": (0.92, 0.40),
}


def test_best_is_the_most_diverse_above_the_floor(ranking_of):
    found = ranking_of(3, SCORES)
    assert found.meets_floor
    assert [str(r) for r in found.top(6)] == ["1:2", "1:3", "0:2", "2:3", "0:1", "0:3"]
    assert found.required_validity == pytest.approx(0.9)
    assert str(ranking_of(3, SCORES, floor=0.3).best) == "0:3"
    assert str(ranking_of(3, SCORES, floor=0.97).best) == "0:1"


def test_the_floor_itself_is_enough(ranking_of):
    assert str(ranking_of(3, {**SCORES, "0:3": (0.9, 0.95)}).best) == "0:3"


def test_ties_up_to_rounding_go_to_the_narrowest_then_the_first(ranking_of):
    rng = np.random.default_rng(0)
    scores = {str(r): (0.95, 0.6 + 1e-13 * rng.normal()) for r in LayerRange.all(4)}
    found = ranking_of(4, scores)
    assert [str(r) for r in found.top(10)] == ["0:1", "1:2", "2:3", "3:4", "0:2", "1:3", "2:4", "0:3", "1:4", "0:4"]
    assert found.p_best[found.index("0:1")] == 1
    assert [str(r) for r in found.pareto()] == ["0:1"]


def test_nothing_meets_the_floor(ranking_of):
    found = ranking_of(3, {name: (validity - 0.5, diversity) for name, (validity, diversity) in SCORES.items()})
    assert not found.meets_floor
    assert str(found.best) == "0:1"  # the nearest
    assert "FLOOR NOT MET" in repr(found)
    assert found.p_none == 1
    assert found.to_dict()["meets_floor"] is False
    assert found.to_dict()["best"]["recipe"] == "restore 0:1 of 3"


@pytest.mark.filterwarnings("error")
def test_without_valid_mass_of_tuned_no_floor_is_met(ranking_of):
    found = ranking_of(3, SCORES, tuned=(0.0, 0.0))
    assert not found.meets_floor
    assert np.isnan(found.interval("kept").estimate).all()
    assert found.to_dict()["best"]["kept"] is None
    assert "FLOOR NOT MET" in repr(found)


def test_limits_of_what_is_kept_are_nan_where_they_do_not_exist(ranking_of):
    found = ranking_of(3, SCORES)
    found.validity[found.rows("tuned")[0]] = [1, 0, 0, 0, 0, 0, 0, 0]
    kept = found.interval("kept")
    assert np.isfinite(kept.estimate).all()
    assert np.isnan(kept.low).all()


def test_pareto(ranking_of):
    assert [str(r) for r in ranking_of(3, SCORES).pareto()] == ["0:1", "0:2", "1:2", "0:3"]


def test_front_agrees_with_a_loop():
    x, y = np.random.default_rng(0).random((2, 60)).round(1)
    members = front(x, y)
    beaten = [
        any((x[j] >= x[i]) & (y[j] >= y[i]) & ((x[j] > x[i]) | (y[j] > y[i])) for j in range(60)) for i in range(60)
    ]
    points = {(x[i], y[i]) for i in range(60) if not beaten[i]}
    assert {(x[i], y[i]) for i in members} == points
    assert len(members) == len(points)


def test_order_by_agrees_with_sorting_where_nothing_ties():
    key = np.random.default_rng(0).random(50)
    assert order_by(key).tolist() == np.argsort(-key).tolist()


def test_probability_of_being_the_best(ranking_of):
    clear = ranking_of(3, SCORES, noise=1e-4)
    close = ranking_of(3, {**SCORES, "1:3": (0.95, 0.5999)}, noise=0.05, prompts=20)
    assert clear.p_best[clear.index("1:2")] + clear.p_best[clear.index("1:3")] == 1
    assert 0.05 < close.p_best[close.index("1:2")] < 0.95
    assert close.p_best.sum() + close.p_none == pytest.approx(1)


def test_intervals_are_paired(ranking_of):
    found = ranking_of(3, SCORES, noise=0.02, prompts=20)
    tuned, row = found.rows("tuned")[0], found.index("1:2")
    expected = mean_interval(found.diversity[row] - found.diversity[tuned])
    gain = found.interval("gain")
    assert gain.low[row] == pytest.approx(expected.low)
    assert gain.low[tuned] == gain.high[tuned] == 0
    assert found.interval("kept").low[tuned] == pytest.approx(1)
    assert found.interval("validity").low[row] < found.mean_validity[row] < found.interval("validity").high[row]


@pytest.mark.parametrize("labels", ["abcdefgh", "aaaaaaab"])
def test_categories_of_few_prompts_do_not_make_it_certain(ranking_of, labels):
    plain = ranking_of(3, SCORES, noise=0.1)
    found = ranking_of(3, SCORES, noise=0.1, categories=tuple(labels))
    np.testing.assert_array_equal(found.p_best, plain.p_best)
    assert found.p_best.max() < 1
    for what in ("validity", "diversity", "gain"):
        interval = found.interval(what)
        assert (interval.low < interval.high)[: len(found.ranges)].all()


def test_unmeasured_ranges_follow_by_score(ranking_of):
    scores = {"1:2": (0.95, 0.3), "0:2": (0.2, 0.9)}
    found = ranking_of(3, scores, method="guided", score=[3.0, 5.0, 1.0, 4.0, 2.0, 6.0])
    assert [str(r) for r in found.top(6)] == ["1:2", "0:2", "2:3", "0:1", "1:3", "0:3"]
    assert np.isnan(found.p_best[found.index("2:3")])


def test_cheap_methods_order_by_score(ranking_of):
    found = ranking_of(3, {"2:3": (0.1, 0.1)}, method="delta", score=[3.0, 5.0, 1.0, 4.0, 2.0, 6.0])
    assert str(found.best) == "2:3"
    assert not found.meets_floor
    assert "take method='guided'" in repr(found)


def test_block_scores_add_up_over_ranges():
    ranges = LayerRange.all(4)
    gain, validity = np.array([0.1, 0.3, 0.0, 0.2]), np.array([-0.01, -0.05, 0.0, -0.2])
    free = BlockScores(gain).of_ranges(ranges, 0.1)
    bound = BlockScores(gain, validity).of_ranges(ranges, 0.1)
    for i, r in enumerate(ranges):
        assert free[i] == pytest.approx(sum(gain[b] - gain.mean() for b in r))
        short = min(sum(validity[b] for b in r) + 0.1, 0)
        assert bound[i] == pytest.approx(sum(gain[b] for b in r) + 10 * short)
    assert str(ranges[int(bound.argmax())]) == "0:2"


def test_agreement(ranking_of):
    from scipy import stats

    one = ranking_of(3, {}, method="delta", score=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    other = ranking_of(3, {}, method="entropy", score=[2.0, 1.0, 3.0, 3.0, 6.0, 5.0])
    found = one.agreement(other, k=2)
    assert found.spearman == pytest.approx(stats.spearmanr([1, 2, 3, 4, 5, 6], [2, 1, 3, 3, 6, 5]).statistic)
    assert found.kendall == pytest.approx(stats.kendalltau([1, 2, 3, 4, 5, 6], [2, 1, 3, 3, 6, 5]).statistic)
    assert (found.overlap, found.k, found.count) == (1.0, 2, 6)
    assert one.agreement(one).spearman == pytest.approx(1)
    assert np.isnan(one.agreement(ranking_of(3, {}, method="delta", score=[0.0] * 6)).spearman)
    with pytest.raises(RankingError, match="6 and 10 ranges"):
        one.agreement(ranking_of(4, {}, method="delta", score=[0.0] * 10))


def test_table_and_json(ranking_of):
    found = ranking_of(3, {**SCORES, "0:3": (np.nan, np.nan), "1:2": (0.93, 0.7)}, noise=0.001, notes=("a note",))
    table = found.to_dataframe()
    assert table["recipe"][0] == "restore 1:2 of 3"
    assert table["rank"].tolist()[:6] == [1, 2, 3, 4, 5, 6]
    assert pd.isna(table["validity"][5])
    assert (table["validity"] * 0.999 <= table["validity_high"])[:5].all()
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["candidates"][0] == data["best"]
    assert {"start", "stop", "validity", "diversity", "validity_interval", "diversity_interval"} <= data["best"].keys()
    assert (data["best"]["start"], data["best"]["stop"]) == (1, 2)
    assert data["candidates"][5]["validity"] is None
    assert data["tuned"]["validity"] == pytest.approx(1.0, abs=0.02)
    assert data["base"] is None
    assert len(data["candidates"]) == 6


def test_jupyter(ranking_of):
    html = ranking_of(3, SCORES)._repr_html_()
    assert "restore 1:2 of 3" in html
    assert "NaN" not in html


def test_index(ranking_of):
    found = ranking_of(3, SCORES)
    assert found.mean_diversity[found.index("1:3")] == pytest.approx(0.6)
    with pytest.raises(LayerRangeError, match="out of bounds"):
        found.index("1:4")

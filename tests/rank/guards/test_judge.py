import numpy as np
import pytest

from slr_probe.errors import RankingError
from slr_probe.rank.guards import Guards, ReplyTable
from slr_probe.rank.guards.judge import Judge, other_draws
from slr_probe.stats.bootstrap import resample_counts
from tests.rank.guards.replies import table_of

OPTIONS = {"level": 0.95, "resamples": 500, "seed": 0}
# tuned last: it ends in 0.6 of its ends, with 2 nats a token
ENDING, SURPRISE = [0.5, 0.54, 0.66, 0.7, 0.6, 0.6], [2.0, 2.0, 2.2, 2.0, 2.3, 2.0]


@pytest.fixture
def judge():
    return Judge(table_of(ENDING, SURPRISE, [0.1, 0.1, 0.1, 0.1, 0.5, 0]), Guards(), 5)


def test_shares_are_ratios_to_tuned(judge):
    np.testing.assert_allclose(judge.share("ending"), np.array(ENDING) / 0.6)
    np.testing.assert_allclose(judge.share("surprise"), np.array(SURPRISE) / 2)
    np.testing.assert_allclose(judge.share("drift"), [0.1, 0.1, 0.1, 0.1, 0.5, 0])


def test_ending_is_two_sided_and_surprise_is_not(judge):
    assert judge.passes("ending").tolist() == [False, True, True, False, True, True]
    assert judge.passes("surprise").tolist() == [True, True, True, True, False, True]
    assert judge.asked == ("ending", "surprise")  # drift only where it is bounded


def test_drift_is_a_guard_where_it_is_bounded():
    judge = Judge(table_of([0.6, 0.6], drift=[0.3, 0.0]), Guards(drift=0.2), 1)
    assert judge.asked == ("ending", "surprise", "drift")
    assert judge.passes("drift").tolist() == [False, True]


def test_too_few_finished_replies_exclude_nothing():
    assert Judge(table_of([0.1, 0.6], prompts=7), Guards(), 1).asked == ()
    assert Judge(table_of([0.1, 0.6]), None, 1).asked == ()


def test_intervals_hold_the_share_and_are_paired():
    judge = Judge(table_of([0.3, 0.6], [2.2, 2.0], noise=0.4), Guards(), 1)
    found = judge.interval("surprise", [0, 1], OPTIONS)
    # every prompt is as much more surprising: the ratio does not vary although the prompts do
    np.testing.assert_allclose([found.low, found.estimate, found.high], [[1.1, 1]] * 3)
    rough = judge.interval("drift", [0], OPTIONS)
    assert rough.low[0] <= rough.estimate[0] <= rough.high[0]


def test_draws_pass_as_each_draw_says():
    rng = np.random.default_rng(3)
    table = table_of([0.5, 0.6, 0.6], [2.1, 2.15, 2.0])
    scores = table.scores.copy()
    scores[..., 0] *= np.exp(0.3 * rng.normal(size=scores.shape[:2]))
    means = ReplyTable(table.prompt, table.place, scores).surprise.mean(axis=1)
    scores[1, :, 0] *= 1.1 * means[2] / means[1]  # on the bound
    judge = Judge(ReplyTable(table.prompt, table.place, scores), Guards(), 2)
    passed = judge.drawn([0, 1], 200, seed=4)
    counts = resample_counts(12, 200, other_draws(4))
    for draw in range(0, 200, 17):
        means = judge.table.surprise @ counts[draw]
        assert passed[1, draw] == (means[1] / means[2] <= 1.1)
    assert not passed[0].any()  # its ending fails in every draw
    assert 0 < passed[1].mean() < 1


@pytest.mark.parametrize(
    "bad",
    [
        {"ending": (1.1, 0.9)},
        {"ending": 0.9},
        {"ending": (0.9, float("nan"))},
        {"surprise": 0.5},
        {"surprise": True},
        {"drift": 0},
        {"replies": 0},
        {"places": 1.5},
    ],
)
def test_bounds_that_are_none_are_refused(bad):
    with pytest.raises(RankingError, match=next(iter(bad))):
        Guards(**bad)


def test_guards_are_read_in_every_way():
    assert Guards.of(None) is None
    assert Guards.of(False) is None
    assert Guards.of(True) == Guards()
    own = Guards(ending=(0.8, 1.2), drift=0.5)
    assert Guards.of(own.to_dict()) == own
    for bad in ("yes", 3, {"endings": (0.9, 1.1)}):
        with pytest.raises(RankingError):
            Guards.of(bad)


def test_next_to_no_surprise_excludes_nothing():
    judge = Judge(table_of([0.6] * 3, [0.059, 0.061, 0.01]), Guards(), 2)
    assert judge.bounds("surprise")[1] == pytest.approx(6)
    assert judge.passes("surprise").tolist() == [True, False, True]
    assert Judge(table_of([0.6] * 2, [2.3, 2.0]), Guards(), 1).bounds("surprise")[1] == 1.1

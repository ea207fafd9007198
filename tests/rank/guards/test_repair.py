import numpy as np
import pytest

from slr_probe.rank.guards.repair import repair
from tests.rank.guards.replies import table_of


def test_the_bias_brings_the_ending_back_and_is_scored_elsewhere():
    table = table_of([0.2, 0.6], [2.0, 2.0])
    held = table_of([0.3, 0.5], [2.0, 2.0], early=1e-4)
    found = repair(table, held, 0, 1)
    assert found.bias == pytest.approx(np.log(1.5) - np.log(0.25))  # from odds 0.25 to odds 1.5
    odds = 0.3 / 0.7 * np.exp(found.bias)
    assert found.ending == pytest.approx((0.6, odds / (1 + odds) / 0.5))
    assert found.held_out
    assert found.state == "offered"
    early = 1e-4 * np.exp(found.bias) / (1 - 1e-4 + 1e-4 * np.exp(found.bias))
    assert found.early == pytest.approx((1e-4, 1e-4, early))
    # what ends more takes from all else: each token's surprise rises by log(1 - p + p e^b)
    assert found.surprise == pytest.approx(1 + np.log1p(1e-4 * np.expm1(found.bias)) / 2)


def test_on_the_same_replies_ending_is_exactly_that_of_tuned():
    table = table_of([0.2, 0.55], noise=0.3)
    found = repair(table, None, 0, 1)
    assert found.ending[1] == pytest.approx(1)
    assert not found.held_out


def test_ends_that_are_not_told_apart_are_not_repaired():
    table = table_of([0.2, 0.6], early=[0.2, 1e-4])
    found = repair(table, None, 0, 1)
    assert found.separation == 0.5
    assert found.state == "ends are not told apart"
    assert not found.offered


def test_a_bias_that_ends_elsewhere_is_not_offered():
    found = repair(table_of([0.02, 0.9], early=[0.01, 0.01]), None, 0, 1)
    assert found.separation == 1
    assert found.early[2] > 0.5
    assert found.state == "it would end too early"


def test_twice_as_many_early_ends_are_the_most():
    # A bias of log 1.5 (odds 0.5 to 0.75) makes of 0.01 about 0.0149, and of 0.02 about 0.0297: tuned's is 0.01
    third, target = 1 / 3, 3 / 7
    assert repair(table_of([third, target], early=[0.01, 0.01]), None, 0, 1).state == "offered"
    assert repair(table_of([third, target], early=[0.02, 0.01]), None, 0, 1).state == "it would end too early"


def test_a_row_that_never_ends_has_no_bias():
    with np.errstate(divide="ignore"):
        found = repair(table_of([0.0, 0.6]), None, 0, 1)
    assert np.isnan(found.bias)
    assert found.state == "it never ends"


def test_a_row_without_held_out_scores_is_scored_where_the_bias_was_found():
    table, held = table_of([0.2, 0.6]), table_of([0.3, 0.5])
    held.scores[0] = np.nan
    assert not repair(table, held, 0, 1).held_out

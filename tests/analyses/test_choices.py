"""The choices of both rules beside tuned, on scores whose differences are known."""

from types import SimpleNamespace

import numpy as np
import pytest

from analyses.outcomes.choices import FIRST, compare_text, plot_choices, rule_table
from analyses.outcomes.written import OUTCOMES
from slr_probe.stats.compare import holm, paired_test
from tests.rank.conftest import ranking_of

__all__ = ["ranking_of"]
MODELS = ("tuned", "with 0:1", "without 1:2", "tuned T=1.1", "tuned T=1.3")
PAIRS = {"with 0:1": "tuned T=1.1", "without 1:2": "tuned T=1.3"}
GAINS = dict(zip(MODELS, (0, 0.5, 0.2, 0.1, 0.4), strict=True))


@pytest.fixture
def report():
    rng = np.random.default_rng(0)
    scores = {
        (task, model, metric): rng.normal(size=20) * 0.05 + GAINS[model]
        for task, metric in OUTCOMES
        for model in MODELS
    }
    return SimpleNamespace(
        models=MODELS,
        hybrids=MODELS[1:3],
        categories=[["a"] * 20] * 2,
        task=["qa", "writing"].index,
        scores=lambda *key: scores[key],
        level=0.95,
        resamples=200,
        seed=0,
    )


def test_choices_are_compared_with_both_and_adjusted_in_their_family(report):
    table = compare_text(report, {"qa": "qa", "writing": "writing"}, PAIRS)
    first = table[table["family"] == "choices"]
    assert len(first) == len(FIRST) * 2 * 2
    assert len(table) == len(OUTCOMES) * 6
    for row in table.itertuples():
        assert row.difference == pytest.approx(GAINS[row.model] - GAINS[row.reference], abs=0.05)
        assert row.difference == pytest.approx(row.mean - row.reference_mean)
    metrics = {label: key for key, label in OUTCOMES.items()}
    raw = []
    for row in first.itertuples():
        task, metric = metrics[row.outcome]
        raw.append(paired_test(report.scores(task, row.model, metric) - report.scores(task, row.reference, metric)))
    assert first["p_adjusted"].tolist() == pytest.approx(holm(np.array(raw)).tolist())
    assert set(first[first["reference"] == "tuned"]["state"]) == {"more"}
    assert set(first[(first["model"] == "without 1:2") & (first["reference"] != "tuned")]["state"]) == {"less"}
    drawn = plot_choices(table)
    assert sum(axis.get_visible() for axis in drawn.axes) == len(OUTCOMES)


def test_a_rule_that_chooses_nothing_is_a_row_without_a_range(ranking_of):
    one = ranking_of(2, {"0:1": (0.95, 0.6), "0:2": (0.92, 0.5), "1:2": (0.2, 0.9)}, noise=0.01)
    none = ranking_of(2, {"0:1": (0.95, 0.1), "0:2": (0.92, 0.1), "1:2": (0.2, 0.1)}, noise=0.001)
    table = rule_table({"with": one, "without": none})
    assert table["layers"].tolist() == ["0:1", ""]
    assert table["gain"][0] == pytest.approx(0.4, abs=0.02)
    assert np.isnan(table["gain"][1])

"""Metrics of the user's: in the same tables, intervals and families as those of the package; errors say what to do."""

import math

import numpy as np
import pytest

from slr_probe.errors import OutputError, ValidationError
from slr_probe.generation import read_outputs
from slr_probe.stats.compare import holm, paired_test
from slr_probe.tasks.text import Item, TextTask
from slr_probe.validation import TextMetric, ValidationReport, validate
from tests.tiny import make_pair
from tests.validation.conftest import report_of

__all__ = ["report_of"]

TASK = TextTask("write", "writing", tuple(Item(f"w{i}", f"Write {i}") for i in range(6)), 8, 3, "test")
OPTIONS = {"crc": False, "baselines": "none", "resamples": 100, "progress": False}


def characters(texts):
    return np.mean([len(text) for text in texts])


def odd_ends(texts):
    """Undefined where no text ends in a letter."""
    ends = [text[-1] for text in texts if text and text[-1].isalpha()]
    return sum(end in "aeiou" for end in ends) / len(ends) if ends else math.nan


METRICS = [TextMetric("characters", characters, better="lower"), TextMetric("odd ends", odd_ends)]


class Tracker(list):
    """Records what it is called with."""

    def __call__(self, numbers, step):
        self.append((numbers, step))


@pytest.fixture(scope="module")
def pair():
    return make_pair()


@pytest.fixture(scope="module")
def whole(pair, tmp_path_factory):
    out, tracker = tmp_path_factory.mktemp("own") / "out", Tracker()
    report = validate(pair, "1:2", TASK, metrics=METRICS, log=tracker, out=out, **OPTIONS)
    return out, report, tracker


def test_the_numbers_are_those_of_the_texts_on_disk(whole):
    out, report, _ = whole
    written = {}
    for file in (out / "outputs" / "write").rglob("*.jsonl"):
        written |= read_outputs(file)
    assert set(written) == set(report.models)
    for metric in METRICS:
        for model in report.models:
            direct = [metric.function(list(row)) for row in written[model].texts]
            np.testing.assert_array_equal(report.scores("write", model, metric.name), direct)


def test_difference_and_p_value_are_those_of_the_other_metrics(whole):
    _, report, _ = whole
    found, at = report.comparisons, report.at("write", report.models[1], "characters")
    moved = report.scores("write", report.models[1], "characters") - report.scores("write", "tuned", "characters")
    assert found.difference.estimate[at] == pytest.approx(moved.mean())
    assert found.p[at] == pytest.approx(paired_test(moved[None], seed=report.seed)[0])
    others = found.p[0, 1][~report.is_primary[0, 1] & np.isfinite(found.p[0, 1])]
    place = np.flatnonzero(others == found.p[at])[0]
    assert found.adjusted[at] == pytest.approx(holm(others)[place])
    assert found.tests[at] == len(others)


@pytest.mark.parametrize(("better", "state", "word"), [("lower", "more", "better"), ("higher", "less", "worse")])
def test_less_is_better_where_it_says_so(report_of, better, state, word):
    short, long = np.linspace(0.1, 0.2, 20), np.linspace(0.5, 0.7, 20) ** 2 + 1
    scores = {name: {"tuned": long, "hybrid": short} for name in ("ead", "follows", "characters")}
    settings = {"scorers": {"metrics": [TextMetric("characters", characters, better).record()]}}
    report = report_of(scores, settings=settings)
    assert report.state("writing", "hybrid", "characters") == state
    assert report.compared("writing", "hybrid", "characters") == word


def test_tables_and_saved_reports_have_them(whole):
    out, report, _ = whole
    rows = report.to_dataframe().query("metric == 'characters'")
    assert set(rows["role"]) == {"own"}
    assert len(rows) == len(report.models)
    assert "characters" in str(report)
    again = ValidationReport.load(out / "report.npz")
    assert again.about("characters") == report.about("characters")
    assert again.settings["scorers"]["metrics"] == [
        {"name": "characters", "better": "lower"},
        {"name": "odd ends", "better": "higher"},
    ]
    assert "characters" in (out / "table.csv").read_text()


def test_validate_logs_once_what_its_table_says(whole):
    _, report, tracker = whole
    [(numbers, step)] = tracker
    assert step == 0
    table = report.to_dataframe()
    expected = {f"validate/{row.task}/{row.model}/{row.metric}": row["mean"] for _, row in table.iterrows()}
    assert numbers == pytest.approx(expected, abs=1e-12)
    assert "validate/write/tuned/characters" in numbers
    assert all(type(value) is float for value in numbers.values())


def test_a_folder_goes_on_with_the_same_metrics_only(pair, whole, monkeypatch):
    out, report, _ = whole
    monkeypatch.setattr("slr_probe.generation.calls.call.Call.lines", lambda *_: pytest.fail("generated again"))
    again = validate(pair, "1:2", TASK, metrics=METRICS, out=out, **OPTIONS)
    np.testing.assert_array_equal(again.values, report.values)
    with pytest.raises(OutputError, match="holds another run: metrics was"):
        validate(pair, "1:2", TASK, out=out, **OPTIONS)
    with pytest.raises(OutputError, match=r"holds another run: metrics\."):
        validate(pair, "1:2", TASK, metrics=[METRICS[0], TextMetric("evens", odd_ends)], out=out, **OPTIONS)


def shown_only_to_dots(texts):
    if not texts[0].endswith("."):
        raise KeyError("no dot")
    return 1.0


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        (["ead"], "those of the package are always measured; got"),
        (characters, "metrics takes your own"),
        ([METRICS[0], METRICS[0]], "two metrics are called 'characters'"),
        (TextMetric("none", lambda texts: None), "'none' returned None"),
        (TextMetric("list", lambda texts: [1.0]), r"'list' returned \[1.0\]"),
        (TextMetric("endless", lambda texts: math.inf), "'endless' returned inf"),
        (TextMetric("broken", lambda texts: texts.absent), "'broken' raised AttributeError: .*must return a number"),
    ],
)
def test_a_slip_is_refused_before_any_text_is_written(pair, monkeypatch, metrics, words):
    monkeypatch.setattr("slr_probe.generation.calls.call.Call.lines", lambda *_: pytest.fail("generated"))
    with pytest.raises(ValidationError, match=words):
        validate(pair, "1:2", TASK, metrics=metrics, **OPTIONS)


def test_an_error_on_a_models_text_names_metric_and_text(pair):
    with pytest.raises(ValidationError, match=r"the metric 'dots' raised KeyError: 'no dot'; it is given a list"):
        validate(pair, "1:2", TASK, metrics=TextMetric("dots", shown_only_to_dots), **OPTIONS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("", characters), "needs a name"),
        (("ead", characters), "there is a metric 'ead' already"),
        (("mine", 3), "needs a function of a list of texts"),
        (("mine", characters, "more"), "is 'higher' or 'lower'; got 'more'"),
    ],
)
def test_bad_definitions(arguments, words):
    with pytest.raises(ValidationError, match=words):
        TextMetric(*arguments)

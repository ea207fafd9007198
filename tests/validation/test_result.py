import json

import numpy as np
import pytest
from scipy import stats

from slr_probe.errors import ResultError, ValidationError
from slr_probe.show.words.validation import in_text
from slr_probe.stats import difference_interval, mean_interval
from slr_probe.validation.result import ValidationReport

RNG = np.random.default_rng(0)
HARD = RNG.uniform(0.3, 0.6, 20)
GOOD = RNG.uniform(0.7, 0.9, 20)


def _scores(gain=0.1, loss=0.0, noise=0.02):
    rng = np.random.default_rng(1)
    return {
        "ead": {"tuned": HARD, "hybrid": HARD + gain + noise * rng.normal(size=20)},
        "follows": {"tuned": GOOD, "hybrid": GOOD - loss + noise * rng.normal(size=20)},
    }


def test_numbers(report_of):
    scores = _scores()
    found = report_of(scores).comparisons
    at = (0, 1, 0)
    expected = difference_interval(scores["ead"]["hybrid"], HARD, resamples=2000, seed=0)
    assert found.difference.estimate[at] == pytest.approx(float(np.mean(scores["ead"]["hybrid"] - HARD)), rel=1e-12)
    assert (found.difference.low[at], found.difference.high[at]) == (expected.low, expected.high)
    mean = mean_interval(scores["ead"]["hybrid"], resamples=2000, seed=0)
    assert (found.mean.low[at], found.mean.high[at]) == (mean.low, mean.high)
    moved = scores["ead"]["hybrid"] - HARD
    assert found.effect[at] == pytest.approx(moved.mean() / moved.std(ddof=1), rel=1e-12)
    t = stats.ttest_1samp(moved[:6] - moved[:6].mean() + 0.01, 0).pvalue
    assert 0 < t < 1
    assert found.p[at] == pytest.approx(1 / 20_001, rel=1e-9)  # all differences are positive: no flip is as far
    assert found.adjusted[at] == pytest.approx(2 / 20_001, rel=1e-9)  # two primary comparisons
    assert np.isnan(found.difference.estimate[0, 0]).all()  # tuned against itself


def test_a_hybrid_equal_to_tuned_shows_exactly_no_difference(report_of):
    report = report_of({"ead": {"tuned": HARD, "same": HARD}, "follows": {"tuned": GOOD, "same": GOOD}})
    found = report.comparisons
    for array in (found.difference.estimate, found.difference.low, found.difference.high, found.effect):
        assert (array[0, 1] == 0).all()
    assert (found.p[0, 1] == 1).all()
    (line,) = report.verdicts
    assert "no difference in diversity" in line
    assert "no difference in quality" in line


def test_verdicts_say_what_the_numbers_support(report_of):
    assert "hybrid: more diverse than tuned (EAD" in report_of(_scores(0.1)).verdicts[0]
    assert "quality lower (follows" in report_of(_scores(0.1, 0.2)).verdicts[0]
    assert "less diverse than tuned" in report_of(_scores(-0.1)).verdicts[0]
    line = report_of(_scores(0.0, noise=0.05)).verdicts[0]
    assert "no difference in diversity (EAD" in line
    assert "leaves room for a loss of" in line


def test_few_prompts_are_not_over_claimed(report_of):
    """Five prompts, all better: the interval leaves out 0, but 2 of 32 sign patterns are as far."""
    scores = {
        "ead": {"tuned": HARD[:5], "hybrid": HARD[:5] + 0.1 + RNG.uniform(0, 0.01, 5)},
        "follows": {"tuned": GOOD[:5], "hybrid": GOOD[:5]},
    }
    line = report_of(scores).verdicts[0]
    assert "perhaps more diverse" in line
    assert "not confirmed after adjustment, which 5 prompts cannot reach with 2 comparisons" in line


def test_undefined_metrics_are_said_to_be_so(report_of):
    scores = _scores()
    scores["ead"]["hybrid"] = np.full(20, np.nan)
    report = report_of(scores)
    assert "diversity (EAD) cannot be compared: defined for both on 0 prompts" in report.verdicts[0]
    assert "nan" not in repr(report).lower().replace("ead", "")


def test_only_prompts_defined_for_both_are_compared(report_of):
    scores = _scores()
    scores["ead"]["hybrid"] = np.where(np.arange(20) < 5, np.nan, scores["ead"]["hybrid"])
    found = report_of(scores).comparisons
    assert found.count[0, :, 0].tolist() == [15, 15]
    assert found.pairs[0, 1, 0] == 15
    np.testing.assert_allclose(
        found.difference.estimate[0, 1, 0], np.mean(scores["ead"]["hybrid"][5:] - HARD[5:]), rtol=1e-12
    )


def test_means_and_differences_belong_together_and_say_over_how_many_prompts(report_of):
    """Each model is silent somewhere else, on hard prompts: none gains by it, and the printed means differ by the
    printed difference."""
    scores = _scores()
    scores["ead"]["hybrid"] = np.where(HARD < np.sort(HARD)[4], np.nan, scores["ead"]["hybrid"])
    scores["ead"]["other"] = np.where(np.arange(20) < 3, np.nan, HARD + 0.05)
    scores["ead"]["mute"] = np.where(np.arange(20) < 17, np.nan, 1.0)
    scores["follows"] |= {"other": GOOD, "mute": GOOD}
    scores["empty"] = {"tuned": np.zeros(20), "hybrid": np.full(20, 0.25), "other": np.zeros(20), "mute": np.ones(20)}
    report = report_of(scores, kinds=["tuned", "hybrid", "random", "base"])
    used = np.isfinite(scores["ead"]["hybrid"]) & np.isfinite(scores["ead"]["other"])
    found, n = report.comparisons, int(used.sum())
    assert 13 <= n < 16
    assert found.count[0, :3, 0].tolist() == [n] * 3
    assert found.count[0, 3, 0] == (used & (np.arange(20) >= 17)).sum()
    means = [scores["ead"][model][used].mean() for model in ("tuned", "hybrid", "other")]
    np.testing.assert_allclose(found.mean.estimate[0, :3, 0], means, rtol=1e-12)
    np.testing.assert_allclose(found.difference.estimate[0, 1:3, 0], np.array(means[1:]) - means[0], atol=1e-12)
    assert report.silent("writing", "hybrid") == 0.25
    assert f"(n={n})" in repr(report)
    assert f" on {n} of 20 prompts" in report.verdicts[0]
    assert "25% of its outputs are empty (tuned 0%)" in report.verdicts[0]


def beside(report_of, hotter, quality):
    """A hybrid with a gain of 0.1 beside tuned at two temperatures."""
    scores = _scores(0.1)
    scores["ead"] |= {"T=1.3": HARD + hotter / 2, "T=1.5": HARD + hotter + RNG.normal(0, 0.01, 20)}
    scores["follows"] |= {"hybrid": GOOD, "T=1.3": GOOD, "T=1.5": quality}
    report = report_of(scores, kinds=["tuned", "hybrid", "temperature", "temperature"])
    return scores, report


def test_a_hybrid_stands_beside_the_most_diverse_tuned_of_its_quality(report_of):
    scores, report = beside(report_of, 0.3, GOOD + 0.1)
    (found,) = report.beside_warmer
    assert (found.warmer, found.state) == ("T=1.5", "less")
    moved = scores["ead"]["hybrid"] - scores["ead"]["T=1.5"]
    wanted = difference_interval(scores["ead"]["hybrid"], scores["ead"]["T=1.5"], resamples=2000, seed=0)
    expected = (moved.mean(), float(wanted.low), float(wanted.high))
    assert (found.difference, found.low, found.high) == pytest.approx(expected, rel=1e-9)
    assert found.p == pytest.approx(1 / 20_001, rel=1e-9)  # one comparison
    assert "is less diverse than T=1.5" in report.warmer[0]
    assert report.warmer[0] in repr(report)
    assert "On writing it is not shown to be more diverse than tuned sampled warmer" in in_text(report)
    json.dumps(report.to_dict()["beside_warmer"], allow_nan=False)


def test_a_warmer_tuned_that_is_worse_does_not_count(report_of):
    _, report = beside(report_of, 0.3, GOOD - 0.2)  # T=1.5 is more diverse and worse
    (found,) = report.beside_warmer
    assert (found.warmer, found.state) == ("T=1.3", "less")
    assert report_of(_scores()).beside_warmer == ()  # tuned at one temperature


def test_where_every_tuned_is_worse_the_best_of_them_is_taken(report_of):
    scores = _scores(0.1, loss=-0.05)
    scores["ead"] |= {"T=1.3": HARD}
    scores["follows"] |= {"T=1.3": GOOD + 0.01}
    report = report_of(scores, kinds=["tuned", "hybrid", "temperature"])
    (found,) = report.beside_warmer
    assert (found.warmer, found.state) == ("T=1.3", "more")
    assert "warmer" not in in_text(report)


def test_secondary_comparisons_do_not_burden_the_primary_ones(report_of):
    scores = _scores()
    for values in scores.values():
        values.update({f"random {i}": values["tuned"] + RNG.normal(0, 0.05, 20) for i in range(30)})
    kinds = ["tuned", "hybrid", *["random"] * 30]
    found = report_of(scores, kinds=kinds).comparisons
    assert found.tests[0, 1, 0] == 2
    assert found.tests[0, 2, 0] == 60
    assert found.adjusted[0, 1, 0] == pytest.approx(2 / 20_001, rel=1e-9)


def test_lower_is_better_for_nll(report_of):
    scores = {"ead": _scores()["ead"], "nll": {"tuned": GOOD, "hybrid": GOOD + 0.2 + 0.01 * RNG.normal(size=20)}}
    assert "quality lower (fluency" in report_of(scores, primary=("ead", "nll")).verdicts[0]


def test_a_hybrid_that_does_not_stop_is_said_to(report_of):
    ends = RNG.uniform(0.6, 0.9, 20)
    scores = {**_scores(), "ended": {"tuned": ends, "hybrid": ends - RNG.uniform(0.3, 0.5, 20)}}
    (line,) = report_of(scores).endings
    shown = [scores["ended"][name].mean() for name in ("hybrid", "tuned")]
    assert f"hybrid ends {shown[0]:.0%} of its outputs by itself, tuned {shown[1]:.0%}" in line
    assert line in repr(report_of(scores))
    scores["ended"]["hybrid"] = ends + RNG.normal(0, 0.1, 20)
    assert report_of(scores).endings == ()
    assert report_of(_scores()).endings == ()


def test_carry_over(report_of):
    tuned, better = np.full(30, 0.3), np.full(30, 0.3) + RNG.uniform(0.1, 0.2, 30)
    crc = {"tuned": (tuned, np.full(30, 0.9)), "hybrid": (better, np.full(30, 0.8))}
    (line,) = report_of(_scores(0.1), crc=crc).carry_over
    assert "the gain carries over to writing" in line
    assert "validity 0.800 against 0.900" in line
    assert "no gain in diversity is shown on writing" in report_of(_scores(0, noise=0.05), crc=crc).carry_over[0]
    crc["hybrid"] = (tuned, np.full(30, 0.9))
    assert "there is none to carry over" in report_of(_scores(0.1), crc=crc).carry_over[0]


def test_saving_is_exact_and_repeatable(report_of, tmp_path):
    report = report_of(_scores(), settings={"base": {"checkpoint": "a"}}, notes=("one",))
    again = report_of(_scores(), settings={"base": {"checkpoint": "a"}}, notes=("one",))
    one, two = report.save(tmp_path / "one.npz"), again.save(tmp_path / "two.npz")
    assert one.read_bytes() == two.read_bytes()
    read = ValidationReport.load(one)
    assert repr(read) == repr(report)
    assert read.verdicts == report.verdicts
    np.testing.assert_array_equal(read.values, report.values)
    assert json.loads(json.dumps(read.to_dict())) == json.loads(json.dumps(report.to_dict()))
    (tmp_path / "bad.npz").write_bytes(one.read_bytes()[:200])
    with pytest.raises(ResultError):
        ValidationReport.load(tmp_path / "bad.npz")


def test_table_text_and_html(report_of):
    report = report_of(_scores())
    table = report.to_dataframe().set_index(["task", "model", "metric"])
    row = table.loc[("writing", "hybrid", "ead")]
    assert row["difference"] == pytest.approx(0.1, abs=0.02)
    assert row["family"] == "primary"
    assert len(table) == 4
    assert "writing (20 prompts x 8)" in repr(report)
    assert report.verdicts[0] in repr(report)
    assert "<table>" in report._repr_html_()


def test_figure(report_of):
    figure = report_of(_scores()).plot()
    (axis,) = figure.axes
    assert axis.get_xlabel() == "quality: follows the instruction (share)"
    assert axis.get_ylabel() == "diversity: EAD"
    drawn = {
        tuple(np.round([line.get_xdata()[0], line.get_ydata()[0]], 6))
        for line in axis.lines
        if len(line.get_xdata()) == 1
    }
    expected = _scores()
    for model in ("tuned", "hybrid"):
        point = (expected["follows"][model].mean(), expected["ead"][model].mean())
        assert tuple(np.round(point, 6)) in drawn
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["tuned", "hybrid"]


def test_unknown_names(report_of):
    report = report_of(_scores())
    with pytest.raises(ValidationError, match="no model 'best'; it has tuned, hybrid"):
        report.scores("writing", "best", "ead")
    with pytest.raises(ValidationError, match="no task 'qa'"):
        report.scores("qa", "tuned", "ead")
    with pytest.raises(ValidationError, match="no decomposition"):
        report.decomposition("writing")


def test_silence_in_the_table_has_all_columns_of_its_model(report_of):
    scores = _scores()
    scores["empty"] = {"tuned": np.zeros(20), "hybrid": np.full(20, 0.25)}
    rows = report_of(scores).to_dataframe().query("metric == 'empty'")
    assert list(zip(rows["model"], rows["kind"], rows["mean"], rows["prompts"], strict=True)) == [
        ("tuned", "tuned", 0.0, 20),
        ("hybrid", "hybrid", 0.25, 20),
    ]
    assert rows[["low", "difference", "p_adjusted"]].isna().all(axis=None)

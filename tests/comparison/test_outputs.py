"""Outputs of several models: paired by prompt, measured, compared; three at once in one table."""

import json

import numpy as np
import pytest

from slr_probe import compare
from slr_probe.comparison import Example, OutputComparison
from slr_probe.errors import ResultError, ValidationError
from slr_probe.generation import Outputs
from slr_probe.stats import difference_interval, mean_interval
from slr_probe.stats.diversity import distinct_n, ead
from tests.generation.logs.foreign import QUESTIONS, inspect_sample, write_inspect, write_lm_eval

RNG = np.random.default_rng(3)
WORDS = "red blue green black white pink grey gold".split()


def _outputs(model, words, prompts=12, samples=4, ids=None):
    ids = ids or tuple(f"p{i}" for i in range(prompts))
    texts = tuple(tuple(" ".join(RNG.choice(WORDS[:words], 3)) for _ in range(samples)) for _ in ids)
    return Outputs(model, ids, tuple(f"ask {name}" for name in ids), texts, ((True,) * samples,) * len(ids))


TUNED, NEAR, FAR = _outputs("tuned", 1), _outputs("near", 3), _outputs("far", 8)


def test_numbers_are_those_of_the_metrics_and_intervals():
    found = compare([TUNED, FAR], vocabulary=1000)
    own, other = (np.array([ead(texts, 1000) for texts in one.texts]) for one in (FAR, TUNED))
    np.testing.assert_allclose(found.scores("outputs", "far", "ead"), own)
    at = found.at("outputs", "far", "ead")
    expected, mean = difference_interval(own, other), mean_interval(own)
    assert found.comparisons.difference.estimate[at] == pytest.approx(np.mean(own - other), rel=1e-12)
    assert found.comparisons.difference.low[at] == pytest.approx(float(expected.low), rel=1e-12)
    assert found.comparisons.mean.high[at] == pytest.approx(float(mean.high), rel=1e-12)
    assert found.compared("outputs", "far", "ead") == "better"


def test_three_models_are_one_table():
    found = compare({"tuned": TUNED, "a": NEAR, "b": FAR})
    assert found.models == ("tuned", "a", "b")
    assert found.primary == (("distinct_2", "ended"),)
    assert found.comparisons.tests[found.at("outputs", "b", "distinct_2")] == 4  # two models on two first metrics
    table = found.to_dataframe().set_index(["model", "metric"])
    assert {"tuned", "a", "b"} == set(table.index.get_level_values("model"))
    assert table.loc[("b", "distinct_2"), "family"] == "primary"
    assert table.loc[("b", "bleu_distance"), "family"] == "other"
    assert np.isnan(table.loc[("tuned", "distinct_2"), "p_adjusted"])


def test_the_reference_can_be_chosen():
    found = compare([TUNED, NEAR, FAR], reference="far")
    assert found.models == ("far", "tuned", "near")
    turned = compare([TUNED, FAR])
    one, other = found.comparisons.difference, turned.comparisons.difference
    back = found.at("outputs", "tuned", "distinct_2"), turned.at("outputs", "far", "distinct_2")
    assert one.estimate[back[0]] == pytest.approx(-other.estimate[back[1]], rel=1e-12)


def test_the_order_of_prompts_does_not_matter():
    mixed = FAR.select(FAR.ids[::-1])
    np.testing.assert_array_equal(compare([TUNED, FAR]).values, compare([TUNED, mixed]).values)


def test_prompts_are_paired_by_text_where_ids_differ():
    renamed = Outputs("far", tuple("abcdefghijkl"), FAR.prompts, FAR.texts, FAR.finished)
    np.testing.assert_array_equal(compare([TUNED, FAR]).values, compare([TUNED, renamed]).values)
    turned = Outputs("far", FAR.ids, FAR.prompts[::-1], FAR.texts[::-1], FAR.finished)  # an id stands for another text
    np.testing.assert_array_equal(compare([TUNED, FAR]).values, compare([TUNED, turned]).values)


def test_only_common_prompts_and_samples_count():
    few = FAR.select(FAR.ids[2:9], 3)
    found = compare([TUNED, few])
    assert found.prompt_ids == (FAR.ids[2:9],)
    assert found.samples == (3,)
    assert len(found.notes) == 2
    expected = [distinct_n(texts[:3], 2) for texts in TUNED.texts[2:9]]
    np.testing.assert_allclose(found.scores("outputs", "tuned", "distinct_2"), expected)


def test_a_task_says_what_is_correct(qa):
    texts = {"same": (("Mars",) * 4, ("red",) * 4), "other": (("Mars", "Venus", "Pluto", "no"), ("red", "blue") * 2)}
    ids, prompts = ("x", "y"), tuple(item.prompt for item in qa.items)  # known by their texts alone
    made = [Outputs(name, ids, prompts, own, ((True,) * 4,) * 2) for name, own in texts.items()]
    found = compare(made, qa)
    assert found.tasks == ("qa",)
    assert found.primary == (("distinct_correct", "correct"),)
    np.testing.assert_array_equal(found.scores("qa", "other", "correct"), [0.5, 1.0])
    np.testing.assert_array_equal(found.scores("qa", "other", "distinct_correct"), [2, 2])


def test_lm_eval_under_another_template(tmp_path):
    one = write_lm_eval(tmp_path, "base", [["4"], ["1"], ["2"], ["3"]], [1, 0, 0, 0])
    other = write_lm_eval(tmp_path, "org/tuned", [["4"], ["7"], ["10"], ["3"]], [1, 1, 1, 0], template="<u>{}<a>")
    found = compare([one, other.parent])
    assert found.tasks == ("sums",)
    assert found.models == ("base", "org/tuned")
    assert found.primary == (("score: exact_match",),)  # one sample a prompt: no diversity, and no file says what ended
    np.testing.assert_array_equal(found.scores("sums", "org/tuned", "score: exact_match"), [1, 1, 1, 0])
    assert found.comparisons.difference.estimate[found.at("sums", "org/tuned", "score: exact_match")] == 0.5
    assert "ended" not in found.metrics
    assert "exact_match" in repr(found)


def test_inspect_against_a_plain_list(tmp_path):
    samples = [inspect_sample(i, k, question, str(k), "C") for i, question in enumerate(QUESTIONS) for k in (1, 2)]
    log = write_inspect(tmp_path / "log.eval", "small", samples)
    plain = tmp_path / "mine.jsonl"
    plain.write_text("".join(f'{{"prompt": "{question}", "outputs": ["7", "7"]}}\n' for question in QUESTIONS))
    found = compare({"small": log, "mine": plain})
    assert found.prompt_ids == (("0", "1", "2", "3"),)
    np.testing.assert_array_equal(found.scores("outputs", "small", "bleu_distance"), 1)
    np.testing.assert_array_equal(found.scores("outputs", "mine", "bleu_distance"), 0)
    assert np.isnan(found.scores("outputs", "mine", "score: match")).all()


def test_several_tasks_are_compared_where_all_models_have_them(tmp_path):
    for model, tasks in (("a", ("sums", "more", "alone")), ("b", ("more", "sums"))):
        for task in tasks:
            write_lm_eval(tmp_path, model, [["4", "5"]] * 4, [1, 0, 1, 0], task=task)
    found = compare([tmp_path / "a", tmp_path / "b"])
    assert set(found.tasks) == {"sums", "more"}
    assert any("alone" in note for note in found.notes)


def test_it_is_saved_and_read(tmp_path):
    found = compare([TUNED, FAR], out=tmp_path / "out")
    read = OutputComparison.load(tmp_path / "out" / "comparison.npz")
    assert repr(read) == repr(found)
    assert isinstance(read.examples[0], Example)
    assert read.examples == found.examples
    again = compare([TUNED, FAR], out=tmp_path / "out")
    np.testing.assert_array_equal(again.values, found.values)


def test_samples_are_side_by_side():
    found = compare([TUNED, FAR])
    assert [one.prompt for one in found.examples] == ["ask p2", "ask p6", "ask p10"]
    assert found.examples[0].texts == (TUNED.texts[2][:6], FAR.texts[2][:6])
    assert FAR.texts[2][0] in repr(found)


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([TUNED], "two models or more"),
        ([TUNED, _outputs("other", 2, ids=("x", "y"))], "no prompt of 'outputs' is common"),
        ([TUNED, TUNED, TUNED], "two models are called"),
        ([TUNED, 3], "a source is Outputs"),
    ],
)
def test_what_cannot_be_compared(sources, message):
    with pytest.raises(ValidationError, match=message):
        compare(sources)


def test_bad_names(tmp_path):
    with pytest.raises(ValidationError, match="no reference 'x'"):
        compare([TUNED, FAR], reference="x")
    with pytest.raises(ResultError, match="cannot read"):
        compare([TUNED, tmp_path / "absent.jsonl"])
    both = tmp_path / "both.jsonl"
    both.write_text("".join(one.save(tmp_path / "one.jsonl").read_text() for one in (NEAR, FAR)))
    with pytest.raises(ValidationError, match="holds outputs of far, near"):
        compare({"tuned": TUNED, "hybrid": both})
    assert compare({"tuned": TUNED, "far": both}).models == ("tuned", "far")


def test_silence_is_a_row_of_text_and_table_and_few_prompts_left_by_it_are_exploratory():
    """A model that is silent on every other prompt is compared on the other six alone: that must be seen."""
    texts = tuple(("",) * 4 if i % 2 else one for i, one in enumerate(FAR.texts))
    quiet = Outputs("quiet", FAR.ids, FAR.prompts, texts, FAR.finished)
    found = compare([TUNED, quiet])
    share = np.mean([text == "" for one in texts for text in one])
    row = found.to_dataframe().query("model == 'quiet' and metric == 'empty'").iloc[0]
    assert (row["mean"], row["prompts"], row["role"]) == (share, 12, "record")
    assert "empty outputs (share)" in repr(found)
    assert found.fewest("outputs") == 6
    assert "From fewer than 10 prompts, this is exploratory." in repr(found)
    spoken = compare([TUNED, FAR])
    assert "empty" not in set(spoken.to_dataframe()["metric"])
    assert "exploratory" not in repr(spoken)


def test_what_few_prompts_have_is_not_looked_at_first():
    """Answers of one word have no bigrams: distinct-2 was the first metric on the one prompt that had some."""
    words = [tuple(str(word) for word in RNG.choice(WORDS, 4)) for _ in TUNED.ids[1:]]
    short = Outputs("short", TUNED.ids, TUNED.prompts, (FAR.texts[0], *words), TUNED.finished)
    found = compare([TUNED, short])
    assert np.isfinite(found.scores("outputs", "short", "distinct_2")).sum() == 1
    assert found.primary == (("bleu_distance", "ended"),)
    for m in (0, 1):  # both means are over the one prompt that both have
        assert found.comparisons.count[0, m, found.metrics.index("distinct_2")] == 1


def test_choices_without_texts_are_scores_alone(tmp_path):
    files = [write_lm_eval(tmp_path, name, [["4"]] * 4, [1, 0, 0, 1]) for name in ("base", "tuned")]
    for file in files:
        rows = [json.loads(line) | {"resps": [[["-1.5", "True"]], [["-2.5", "False"]]]} for line in file.open()]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "2 models, sums (4 prompts, scores alone)" in repr(compare(files))

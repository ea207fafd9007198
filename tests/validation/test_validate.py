"""The whole of `validate` on two random models: real generation, scores, report, resume."""

import json
from dataclasses import replace

import numpy as np
import pytest

from slr_probe import ModelPair, Recipe
from slr_probe.errors import LayerRangeError, OutputError, SweepError, ValidationError
from slr_probe.executor import LocalExecutor
from slr_probe.scoring import answering, scoring
from slr_probe.tasks import CRCItem, CRCTask, choice_task
from slr_probe.tasks.text import Item, TextTask
from slr_probe.validation import ValidationReport, validate
from tests.tiny import edit_middle, make_pair

QA = TextTask(
    "letters",
    "qa",
    tuple(
        Item(f"q{i}", f"Say {a} or {b}", answers=((a,), (b,)), check="list")
        for i, (a, b) in enumerate(["ab", "cd", "ef", "gh", "ij"])
    ),
    max_tokens=6,
    samples=4,
    source="test",
)
WRITE = TextTask("write", "writing", tuple(Item(f"w{i}", f"Write {i}") for i in range(6)), 8, 3, "test")
CHOICES = CRCTask.of(
    CRCItem(
        f"Pick {' '.join(s)}",
        tuple(s),
        "digits" if s.isdigit() else "letters",
        True,
        "held_out" if i % 2 else "selection",
    )
    for i, s in enumerate(["ab", "cde", "12", "345", "xyz", "789"] * 1)
)


@pytest.fixture(scope="module")
def pair():
    return make_pair()


@pytest.fixture(scope="module")
def whole(pair, tmp_path_factory):
    out = tmp_path_factory.mktemp("validation") / "out"
    report = validate(
        pair,
        {"hybrid": "1:2", "same": Recipe.tuned(4)},
        [QA, WRITE],
        crc=CHOICES,
        baselines="all",
        temperatures=(1.5,),
        min_ps=(0.0,),
        random_ranges=1,
        resamples=200,
        out=out,
    )
    return out, report


def test_all_methods_are_measured_on_all_tasks(whole):
    _, report = whole
    assert report.tasks == ("letters", "write")
    kinds = set(report.kinds)
    expected = "tuned hybrid early late random soup temperature min_p prompt hybrid_temperature base base_plain"
    assert kinds == set(expected.split())
    ead = report.metrics.index("ead")
    assert np.isfinite(report.values[0, :, ead, :5]).all()
    assert np.isfinite(report.values[1, :, ead, :6]).all()
    assert np.isnan(report.values[0, :, ead, 5:]).all()
    assert report.primary == (("distinct_correct", "correct"), ("ead", "follows"))
    assert len(report.verdicts) == 4
    assert len(report.carry_over) == 2
    assert report.crc_diversity.shape == (len(report.crc_models), 3)


def test_a_hybrid_that_is_tuned_shows_exactly_no_difference(whole):
    _, report = whole
    np.testing.assert_array_equal(report.values[:, report.model("same")], report.values[:, 0])
    found = report.comparisons
    at = report.model("same")
    assert np.nanmax(np.abs(found.difference.estimate[:, at])) == 0
    assert np.nanmax(np.abs(found.difference.high[:, at])) == 0
    assert np.nanmin(found.p[:, at]) == 1
    assert all("no difference in diversity" in line for line in report.verdicts if "same:" in line)


def test_outputs_on_disk_are_those_that_were_scored(whole):
    from slr_probe.generation import read_outputs

    out, report = whole
    (file,) = (out / "outputs" / "write" / "T1-minp0.1").glob("hybrid*.jsonl")
    texts = read_outputs(file)["hybrid"]
    found = scoring.score_outputs(WRITE, texts, vocabulary=report.settings["scorers"]["vocabulary"])
    np.testing.assert_array_equal(found["ead"], report.scores("write", "hybrid", "ead"))


def test_the_folder_is_complete(whole):
    out, report = whole
    assert not (out / "INCOMPLETE").exists()
    assert repr(ValidationReport.load(out / "report.npz")) == repr(report)
    assert json.loads((out / "report.json").read_text())["verdicts"] == list(report.verdicts)
    assert (out / "validation.pdf").stat().st_size > 5000
    assert (out / "report.txt").read_text() == f"{report}\n"
    settings = report.settings
    assert settings["base"]["fingerprint"] != settings["tuned"]["fingerprint"]
    assert {"torch", "transformers", "slr-probe"} <= settings["library"].keys()


class SimpleJudge:
    """One score for all, under a name."""

    def __init__(self, score, name):
        self.score, self.name = score, name

    def __call__(self, prompt, text):
        return self.score


OPTIONS = {"crc": False, "baselines": "none", "resamples": 100}


def test_nothing_is_generated_or_scored_twice(pair, tmp_path, monkeypatch):
    first = validate(pair, "1:2", WRITE, out=tmp_path / "one", **OPTIONS)
    before = (tmp_path / "one" / "report.npz").read_bytes()
    monkeypatch.setattr("slr_probe.scoring.measures.measure_text", lambda *_: pytest.fail("scored again"))
    monkeypatch.setattr("slr_probe.generation.calls.call.Call.lines", lambda *_: pytest.fail("generated again"))
    again = validate(pair, "1:2", WRITE, out=tmp_path / "one", **OPTIONS)
    np.testing.assert_array_equal(first.values, again.values)
    assert (tmp_path / "one" / "report.npz").read_bytes() == before


def test_crc_is_not_measured_twice(pair, tmp_path, monkeypatch):
    asked = {"crc": CHOICES, "baselines": ["soup"], "resamples": 100, "out": tmp_path / "one"}
    first = validate(pair, "1:2", WRITE, **asked)
    for name in ("run_chunk", "run_plainly"):
        monkeypatch.setattr(f"slr_probe.sweep.measure.{name}", lambda *_, **__: pytest.fail("swept again"))
    again = validate(pair, "1:2", WRITE, **asked)
    assert again.models == first.models
    np.testing.assert_array_equal(again.crc_diversity, first.crc_diversity)


def test_same_seed_same_report_and_a_kill_changes_nothing(pair, tmp_path, monkeypatch):
    whole = validate(pair, "1:2", [QA, WRITE], out=tmp_path / "whole", **OPTIONS)
    real, calls = answering.answer, []

    def killed(*arguments, **options):
        calls.append(1)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(answering, "answer", killed)
    with pytest.raises(KeyboardInterrupt):
        validate(pair, "1:2", [QA, WRITE], out=tmp_path / "killed", **OPTIONS)
    assert (tmp_path / "killed" / "INCOMPLETE").exists()
    assert not (tmp_path / "killed" / "report.npz").exists()
    monkeypatch.setattr(answering, "answer", real)
    validate(pair, "1:2", [QA, WRITE], out=tmp_path / "killed", **OPTIONS)
    assert not (tmp_path / "killed" / "INCOMPLETE").exists()
    reports = [(tmp_path / name / "report.npz").read_bytes() for name in ("whole", "killed")]
    assert reports[0] == reports[1]
    other = validate(pair, "1:2", [QA, WRITE], seed=1, **OPTIONS)
    assert not np.array_equal(other.values, whole.values, equal_nan=True)


def test_blocks_give_the_same_report(pair, whole, tmp_path):
    asked = {"crc": CHOICES, "baselines": "all", "temperatures": (1.5,), "min_ps": (0.0,), "random_ranges": 1}
    out, report = whole
    recipes = {"hybrid": "1:2", "same": Recipe.tuned(4)}
    found = validate(pair, recipes, [QA, WRITE], **asked, resamples=200, out=tmp_path / "out", executor=LocalExecutor())
    assert found.models == report.models
    np.testing.assert_array_equal(found.values, report.values)
    np.testing.assert_allclose(found.crc_diversity, report.crc_diversity, atol=1e-5)
    for file in sorted((out / "outputs").rglob("*.jsonl")):
        lines = [(root / file.relative_to(out)).read_text().splitlines() for root in (out, tmp_path / "out")]
        assert sorted(lines[0]) == sorted(lines[1])


def test_a_model_that_scores_is_added_without_scoring_the_rest_again(pair, tmp_path, monkeypatch):
    validate(pair, "1:2", WRITE, out=tmp_path / "one", **OPTIONS)
    monkeypatch.setattr("slr_probe.scoring.measures.measure_text", lambda *_: pytest.fail("scored again"))

    def length(texts):
        return np.array([[1.0, len(text)] for text in texts])

    found = validate(pair, "1:2", WRITE, out=tmp_path / "one", embedder=length, **OPTIONS)
    assert "embedding_distance" in found.metrics
    assert found.primary == (("embedding_distance", "follows"),)
    assert found.settings["scorers"]["embedder"] == "length"


def test_the_format_is_that_of_all_models_but_base_plain(pair, tmp_path):
    asked = {"crc": CHOICES, "baselines": ["soup", "base", "base_plain"], "resamples": 100}
    for name, format in (("usual", None), ("chat", "chat"), ("plain", "plain")):
        validate(pair, "1:2", WRITE, format=format, out=tmp_path / name, **asked)
    made = {}
    for name in ("usual", "chat", "plain"):
        settings = json.loads((tmp_path / name / "outputs" / "write" / "T1-minp0.1" / "settings.json").read_text())
        made[name] = {model: entry["format"] for model, entry in settings["models"].items()}
    assert made["usual"] == made["chat"]
    assert {model for model, format in made["usual"].items() if format == "plain"} == {"base (plain)"}
    assert set(made["plain"].values()) == {"plain"}
    assert (tmp_path / "usual" / "report.npz").read_bytes() == (tmp_path / "chat" / "report.npz").read_bytes()
    with pytest.raises(OutputError, match=r"holds another run: format was absent and is now 'plain'"):
        validate(pair, "1:2", WRITE, format="plain", out=tmp_path / "usual", **{**asked, "crc": False})


@pytest.mark.parametrize("named", [False, True])
def test_scores_are_kept_of_models_that_say_what_they_are(pair, tmp_path, named):
    def judge(score, name):
        def found(prompt, text):
            return score

        return found if not named else SimpleJudge(score, name)

    one, two = (
        validate(pair, "1:2", WRITE, out=tmp_path / "one", judge=judge(score, "same"), **OPTIONS) for score in (1, 9)
    )
    assert np.nanmax(one.scores("write", "tuned", "judge")) == 1
    assert np.nanmax(two.scores("write", "tuned", "judge")) == (1 if named else 9)


def test_a_judge_that_failed_is_asked_again(pair, tmp_path):
    answers = iter([None, *[1.0] * 1000])
    one = validate(pair, "1:2", WRITE, out=tmp_path / "one", judge=lambda p, t: next(answers), **OPTIONS)
    missing = one.metrics.index("judge_missing")
    assert np.nansum(one.values[:, :, missing]) == 1
    two = validate(pair, "1:2", WRITE, out=tmp_path / "one", judge=lambda p, t: next(answers), **OPTIONS)
    assert np.nansum(two.values[:, :, missing]) == 0


def test_another_run_in_the_folder_is_refused(pair, tmp_path):
    validate(pair, "1:2", WRITE, out=tmp_path / "one", **OPTIONS)
    with pytest.raises(OutputError, match=r"holds another run: methods\.1\."):
        validate(pair, "1:3", WRITE, out=tmp_path / "one", **OPTIONS)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(OutputError, match="not empty"):
        validate(pair, "1:2", WRITE, out=tmp_path / "mine", **OPTIONS)


def test_checkpoints_that_were_written_to_are_another_run(own_pair, tmp_path):
    folders = own_pair("llama_tied")
    task = TextTask("one", "writing", (Item("a", "Write."), Item("b", "Tell.")), max_tokens=2, samples=2, source="test")
    validate(ModelPair.load(*folders.folders, device="cpu"), "1:2", task, out=tmp_path / "out", **OPTIONS)
    edit_middle(folders.base)
    with pytest.raises(OutputError, match=r"holds another run: files\.0 was"):
        validate(ModelPair.load(*folders.folders, device="cpu"), "1:2", task, out=tmp_path / "out", **OPTIONS)


@pytest.mark.parametrize("answers", [("red", "é"), ("red", "r" * 600)])
def test_answers_that_the_models_cannot_give_leave_crc_out_with_a_note(pair, answers):
    words = CRCTask.of([CRCItem("Pick one", answers)])
    found = validate(pair, "1:2", WRITE, crc=words, baselines=["soup"], resamples=50)
    assert "soup" not in found.kinds
    assert any("nothing was measured on CRC" in note for note in found.notes)
    assert found.carry_over == ()


def test_bad_input(pair):
    with pytest.raises(LayerRangeError):
        validate(pair, "3:9", WRITE, **OPTIONS)
    with pytest.raises(ValidationError, match="no hybrid"):
        validate(pair, [], WRITE, **OPTIONS)
    with pytest.raises(ValidationError, match="name of its own"):
        validate(pair, {"tuned": "1:2"}, WRITE, **OPTIONS)
    with pytest.raises(ValidationError, match="diversity needs samples of at least 2"):
        validate(pair, "1:2", WRITE, samples=1, **OPTIONS)
    with pytest.raises(ValidationError, match="seed must be a whole number, 0 or more; got -1"):
        validate(pair, "1:2", WRITE, seed=-1, **OPTIONS)
    with pytest.raises(ValidationError, match="unknown format 'chatml'; expected 'chat' or 'plain'"):
        validate(pair, "1:2", WRITE, format="chatml", **OPTIONS)
    with pytest.raises(SweepError, match="min_p must lie"):
        validate(pair, "1:2", WRITE, crc_min_p=2, **OPTIONS)
    with pytest.raises(ValidationError, match="temperatures must lie"):
        validate(pair, "1:2", WRITE, temperatures=(-1,), **OPTIONS)
    chosen_by = (*WRITE.items, replace(choice_task().items[3], id="mine"))
    with pytest.raises(ValidationError, match=r"first 'mine'.* chosen by"):
        validate(pair, "1:2", replace(WRITE, items=chosen_by), **OPTIONS)

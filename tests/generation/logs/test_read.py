"""Files of others are read as outputs, or refused with what was expected."""

import json
import math

import pytest

from slr_probe.errors import ResultError
from slr_probe.generation import Outputs
from slr_probe.generation.logs import holds_outputs, read_logs
from tests.generation.logs.foreign import QUESTIONS, inspect_sample, lm_eval_line, write_inspect, write_lm_eval

TEXTS = [["4", "four"], ["7", "8"], ["10", "10"], ["7", "9"]]


def _lines(file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def test_our_own(tmp_path):
    saved = Outputs("tuned", ("a",), ("Hello",), (("x", "y"),), ((True, False),))
    (log,) = read_logs(saved.save(tmp_path / "tuned.jsonl"))
    assert log.outputs == saved
    assert log.ends


def test_lists_of_texts(tmp_path):
    rows = [{"prompt": "A?", "responses": ["x", "y"]}, {"id": 7, "prompt": "B?", "outputs": ["z"], "note": 1}]
    (log,) = read_logs(_lines(tmp_path / "mine.jsonl", rows))
    assert log.outputs.model == "mine"
    assert log.outputs.ids == ("line-1", "7")
    assert log.outputs.texts == (("x", "y"), ("z",))
    assert not log.ends


def test_lists_of_two_models(tmp_path):
    rows = [{"model": name, "id": "1", "prompt": "A?", "outputs": [name]} for name in ("one", "two")]
    assert [log.outputs.model for log in read_logs(_lines(tmp_path / "mine.jsonl", rows))] == ["one", "two"]


def test_lm_eval(tmp_path):
    file = write_lm_eval(tmp_path, "org/small", TEXTS, [1.0, 1.0, 0.0, 1.0])
    (log,) = read_logs(file)
    assert (log.outputs.model, log.task) == ("org/small", "sums")
    assert log.outputs.texts == tuple(map(tuple, TEXTS))
    assert log.outputs.prompts[0] == "Q: What is 2 + 2?\nA:"
    assert log.scores == {"exact_match": (1.0, 1.0, 0.0, 1.0)}
    assert log.hashed
    assert not log.ends


def test_lm_eval_filters_are_scores_of_their_own(tmp_path):
    rows = []
    for name, scores in (("strict-match", (0, 1)), ("flexible-extract", (1, 1))):
        for doc, score in enumerate(scores):
            rows.append(lm_eval_line(doc, QUESTIONS[doc], TEXTS[doc], {"exact_match": score}, filter=name))
    (log,) = read_logs(_lines(tmp_path / "samples_gsm8k_2026-08-21T10-56-54.1.jsonl", rows))
    assert log.task == "gsm8k"
    assert len(log.outputs) == 2
    assert log.scores == {"exact_match (strict-match)": (0.0, 1.0), "exact_match (flexible-extract)": (1.0, 1.0)}


def test_lm_eval_choices_have_scores_and_no_texts(tmp_path):
    row = lm_eval_line(0, QUESTIONS[0], ["x"], {"acc": 1.0, "confusion": ["a", "b"]})
    row["arguments"] |= {"gen_args_1": {"arg_0": "Q", "arg_1": " no"}}
    row["resps"] = [[["-1.5", "True"]], [["-2.5", "False"]]]
    (log,) = read_logs(_lines(tmp_path / "samples_boolq_2026-08-21T10-56-54.1.jsonl", [row]))
    assert log.outputs.samples == 0
    assert log.scores == {"acc": (1.0,)}


def test_of_a_folder_of_lm_eval_the_newest_of_each_task(tmp_path):
    for date, score in (("2026-08-20T10-56-54.1", 0.0), ("2026-08-21T10-56-54.1", 1.0)):
        folder = write_lm_eval(tmp_path, "small", TEXTS, [score] * 4, date=date).parent
    write_lm_eval(tmp_path, "small", TEXTS, [0.5] * 4, task="other_sums")
    found = {log.task: log.scores["exact_match"][0] for log in read_logs(folder)}
    assert found == {"sums": 1.0, "other_sums": 0.5}


@pytest.mark.parametrize("name", ["log.eval", "log.json"])
def test_inspect(tmp_path, name):
    samples = [
        inspect_sample(1, 2, QUESTIONS[0], "four", "I", stop="max_tokens"),
        inspect_sample(1, 1, QUESTIONS[0], "4", "C"),
        inspect_sample(
            "b",
            1,
            QUESTIONS[1],
            "",
            0.25,
            content=[
                {"type": "reasoning", "reasoning": "hm", "redacted": False},
                {"type": "text", "text": "7"},
            ],
        ),
    ]
    (log,) = read_logs(write_inspect(tmp_path / name, "openai/small", samples))
    assert (log.outputs.model, log.task) == ("openai/small", "sums")
    assert log.outputs.ids == ("1", "b")
    assert log.outputs.prompts == QUESTIONS[:2]
    assert log.outputs.texts == (("4", "four"), ("7",))
    assert log.outputs.finished == ((True, False), (True,))
    assert log.scores == {"match": (0.5, 0.25)}


@pytest.mark.parametrize("ending", ["eval", "json"])
def test_of_a_folder_of_inspect_the_newest_of_each_model_and_task(tmp_path, ending):
    """Whatever the format; Inspect calls every local folder `hf/local`, and a run that failed left no samples."""

    def write(date, task, path, samples):
        write_inspect(tmp_path / f"{date}_{task}_x.{ending}", "hf/local", samples, task, model_path=path)

    for date, text in (("2026-08-20", "old"), ("2026-08-21", "new")):
        write(date, "sums", "runs/hybrid/", [inspect_sample(1, 1, QUESTIONS[0], text, "C")])
    write("2026-08-22", "sums", "runs/hybrid/", [])
    write("2026-08-20", "others", "runs/hybrid/", [inspect_sample(1, 1, QUESTIONS[0], "other", "C")])
    write("2026-08-20", "sums", "runs/tuned", [inspect_sample(1, 1, QUESTIONS[0], "tuned", "C")])
    (tmp_path / "notes.json").write_text('{"mine": 1}')
    found = {(log.outputs.model, log.task): log.outputs.texts for log in read_logs(tmp_path)}
    assert found == {
        ("hybrid", "sums"): (("new",),),
        ("hybrid", "others"): (("other",),),
        ("tuned", "sums"): (("tuned",),),
    }


def test_whether_a_reply_ended_is_not_known_where_inspect_does_not_say(tmp_path):
    """Its provider `hf` writes "unknown", also of replies that were cut."""
    samples = [inspect_sample(1, k, QUESTIONS[0], "x", "C", stop=stop) for k, stop in ((1, "stop"), (2, "unknown"))]
    (log,) = read_logs(write_inspect(tmp_path / "log.eval", "hf/local", samples))
    assert not log.ends
    assert log.outputs.model == "hf/local"  # its arguments name no folder
    (log,) = read_logs(write_inspect(tmp_path / "log.eval", "hf/local", samples[:1]))
    assert log.ends


def test_inspect_messages_attachments_and_failures(tmp_path):
    asked = inspect_sample(1, 1, "", "attachment://abc", "C")
    asked["input"] = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "attachment://def"}]
    asked["attachments"] = {"abc": "a long text", "def": "a long question"}
    failed = inspect_sample(2, 1, "other", "x", "C") | {"error": {"message": "no answer"}}
    empty = inspect_sample(3, 1, "third", "x", "C")
    empty["output"] = {"model": "small", "choices": []}
    (log,) = read_logs(write_inspect(tmp_path / "log.eval", "small", [asked, failed, empty]))
    assert log.outputs.prompts == ("a long question",)
    assert log.outputs.texts == (("a long text",),)
    assert "2 of 3 samples" in log.notes[0]


def test_inspect_scores_that_are_no_numbers_are_left_out(tmp_path):
    sample = inspect_sample(1, 1, "a", "x", "C")
    sample["scores"] = {"words": {"value": "hello"}, "match": {"value": True}}
    (log,) = read_logs(write_inspect(tmp_path / "log.eval", "small", [sample]))
    assert log.scores == {"match": (1.0,)}
    assert all(map(math.isfinite, log.scores["match"]))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", "", "holds no outputs"),
        ("a.jsonl", '{"prompt": "A?"}\n', "line 1: not a line of outputs"),
        (
            "a.jsonl",
            '{"prompt": "A?", "outputs": ["x"]}\n{"prompt": "B?", "outputs": []}\n',
            "line 2: 'outputs' must be a list of texts",
        ),
        ("a.jsonl", '{"id": 1, "prompt": "A?", "outputs": ["x"]}\n' * 2, "sample 0 of prompt '1' is given twice"),
        ("a.jsonl", '{"doc_id": 1, "resps": 3, "arguments": {}}\n', "line 1: not a sample of lm-eval"),
        ("a.json", "{}", "not a log of Inspect"),
        ("a.json", '{"eval": {"task": "t"}, "samples": [{"output": {"choices": [1]}}]}', "not as Inspect writes it"),
        (
            "a.json",
            '{"eval": {"task": "t"}, "samples": [{"epoch": "x", "output": {"choices": [1]}}]}',
            "not as Inspect writes it",
        ),
        ("a.eval", "no zip", "not a log of Inspect, or is damaged"),
    ],
)
def test_bad_files(tmp_path, name, text, message):
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(ResultError, match=message):
        read_logs(file)


def test_a_zip_that_python_cannot_unpack(tmp_path, monkeypatch):
    """Inspect packs with zstandard, which `zipfile` knows from Python 3.14 on."""
    import sys

    monkeypatch.setitem(sys.modules, "zipfile_zstd", None)
    file = write_inspect(tmp_path / "log.eval", "small", [inspect_sample(1, 1, "a", "x", "C")])
    data = file.read_bytes()
    file.write_bytes(data.replace(b"\x08\x00", b"\x63\x00"))  # every member says method 99, which none knows
    with pytest.raises(ResultError, match="inspect log convert"):
        read_logs(file)


def test_an_empty_folder(tmp_path):
    with pytest.raises(ResultError, match=r"holds no \*.jsonl"):
        read_logs(tmp_path)


def test_a_folder_with_a_config_is_a_model(tmp_path):
    assert holds_outputs(tmp_path)
    assert holds_outputs("somewhere/log.eval")
    assert not holds_outputs("org/name")
    (tmp_path / "config.json").touch()
    assert not holds_outputs(tmp_path)


def test_an_archive_that_unpacks_to_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr("slr_probe.generation.logs.inspect_log._MOST", 1000)
    file = write_inspect(tmp_path / "log.eval", "small", [inspect_sample(1, 1, "a", "x" * 1000, "C")])
    with pytest.raises(ResultError, match="1,000 are read at most"):
        read_logs(file)

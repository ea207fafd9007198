"""lm-eval, run on the embedded models: what it logs is what is compared. The tests that run it need it installed."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slr_probe.comparison import comparison_folder, evaluate
from slr_probe.comparison.harness import HarnessRun, _advice
from slr_probe.errors import CheckpointError, SlrProbeError, ValidationError
from tests.generation.logs.foreign import write_lm_eval

DOCUMENTS = [
    {"question": f"Name a {kind}.", "answer": answer}
    for kind, answer in (("colour", "red"), ("fruit", "apple"), ("pet", "cat"), ("tool", "hammer"), ("drink", "tea"))
] * 2


@pytest.fixture
def own_task(tmp_path: Path) -> Path:
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "documents.json").write_text(json.dumps(DOCUMENTS))
    (folder / "short.yaml").write_text(
        f"""
task: short
dataset_path: json
dataset_kwargs: {{data_files: "{folder / "documents.json"}"}}
test_split: train
output_type: generate_until
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["\\n"], max_gen_toks: 3}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}}]
"""
    )
    return folder


def test_lm_eval_runs_once_and_its_scores_are_compared(own_task: Path, tmp_path: Path) -> None:
    pytest.importorskip("lm_eval")
    models = {"tuned": "organism:dpo", "sft": "organism:sft"}
    options = {"include": own_task, "limit": 6, "batch": "1", "device": "cpu", "progress": False}
    found = evaluate(models, ["short"], tmp_path / "out", **options)
    logs = sorted((tmp_path / "out").glob("*/samples_short_*.jsonl"))
    assert len(logs) == 2
    rows = {log.parent.name.split("-")[0]: list(map(json.loads, log.read_text().splitlines())) for log in logs}
    for name, lines in rows.items():
        at = found.at("short", name, "score: exact_match")
        assert len(lines) == 6
        np.testing.assert_allclose(
            found.comparisons.mean.estimate[at], np.mean([line["exact_match"] for line in lines])
        )
    before = {log: log.stat().st_mtime_ns for log in logs}
    again = evaluate(models, ["short"], tmp_path / "out", **options)
    assert before == {log: log.stat().st_mtime_ns for log in logs}
    np.testing.assert_array_equal(again.comparisons.mean.estimate, found.comparisons.mean.estimate)


def test_what_lm_eval_complains_of_is_said(tmp_path: Path) -> None:
    pytest.importorskip("lm_eval")
    with pytest.raises(ValidationError, match=r"lm-eval failed on a \(exit 1\): .*no_such_task.*--include"):
        evaluate(
            {"a": "organism:dpo", "b": "organism:sft"}, ["no_such_task"], tmp_path / "out", progress=False, batch="1"
        )
    assert not list((tmp_path / "out").glob("*"))


PAIR = {"a": "organism:dpo", "b": "organism:sft"}


@pytest.fixture
def asked_of(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the models that lm-eval is asked of; in its place stands what writes logs like its own."""
    names: list[str] = []

    def stand_in(name: str, asked: HarnessRun, model: Path, work: Path, quiet: bool) -> None:
        names.append(name)
        write_lm_eval(work, name, [["red"], ["two"], ["six"], ["one"]], [1.0, 0.0, 1.0, 0.0], task=asked.tasks[0])

    monkeypatch.setattr("slr_probe.comparison.harness._run", stand_in)
    monkeypatch.setattr("slr_probe.comparison.harness.find_spec", lambda name: True)
    monkeypatch.setattr("slr_probe.comparison.harness.version", lambda name: "0.4.9")
    return names


def test_a_later_call_may_add_models_and_tasks(asked_of: list[str], tmp_path: Path) -> None:
    """It was refused, after lm-eval had run, as the folder held another comparison."""
    out, three = tmp_path / "out", {**PAIR, "c": "organism:base"}
    calls = [(PAIR, ["sums"]), (three, ["sums"]), (PAIR, ["others"]), (PAIR, ["sums"])]
    found = [evaluate(models, tasks, out, progress=False) for models, tasks in calls]
    assert asked_of == ["a", "b", "c", "a", "b"]
    folders = [comparison_folder(out, one) for one in found]
    assert len(set(folders)) == 3
    assert folders[3] == folders[0]
    for one, folder in zip(found, folders, strict=True):
        assert str(one) in (folder / "report.txt").read_text()
        assert json.loads((folder / "comparison.json").read_text())["settings"]["lm_eval"]["lm_eval"] == "0.4.9"


def test_scores_of_a_task_that_was_edited_are_made_anew(asked_of: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "tasks"
    folder.mkdir()
    file = folder / "sums.yaml"
    options = {"include": folder, "progress": False}
    for content in ("task: sums", "task: sums", "task: sums\nrepeats: 4"):
        file.write_text(content)
        evaluate(PAIR, ["sums"], tmp_path / "out", **options)
    assert asked_of == ["a", "b"] * 2


@pytest.mark.parametrize(
    ("said", "options", "advice"),
    [
        ("ValueError: Tasks not found: x", {}, "--include"),
        ("ConnectionError: Couldn't reach 'x' on the Hub (OfflineModeIsEnabled)", {}, "--download"),
        ("ConnectionError: Couldn't reach 'x' on the Hub", {"download": True}, ""),
        ("ValueError: something else", {}, ""),
    ],
)
def test_what_can_be_done_about_it_is_said(said: str, options: dict[str, Any], advice: str) -> None:
    found = _advice(said, HarnessRun(("x",), **options))
    assert advice in found
    assert bool(found) == bool(advice)


@pytest.mark.parametrize(
    ("models", "tasks", "options", "error", "message"),
    [
        ({"a": "organism:dpo"}, ["x"], {}, ValidationError, "two models or more"),
        (PAIR, [], {}, ValidationError, "at least one task"),
        ({"a": "organism:dpo", "b": "no/such/folder"}, ["x"], {}, CheckpointError, "no local folder"),
        (PAIR, ["x"], {"reference": "c"}, ValidationError, "none of the models: a, b"),
        (PAIR, ["x"], {"limit": 0}, ValidationError, "limit is a whole number of at least 1"),
        (PAIR, ["x"], {"fewshot": -1}, ValidationError, "fewshot"),
        (PAIR, ["x"], {"batch": "many"}, ValidationError, "batch is a number of rows"),
        (PAIR, ["x"], {"include": "no/such/folder"}, ValidationError, "folder with task files"),
    ],
)
def test_what_cannot_be_run_is_refused_first_also_without_lm_eval(
    models: dict[str, str],
    tasks: list[str],
    options: dict[str, Any],
    error: type[SlrProbeError],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("slr_probe.comparison.harness.find_spec", lambda name: None)
    with pytest.raises(error, match=message):
        evaluate(models, tasks, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_without_lm_eval_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("slr_probe.comparison.harness.find_spec", lambda name: None)
    with pytest.raises(ValidationError, match=r"pip install 'slr-probe\[harness\]'"):
        evaluate({"a": "organism:dpo", "b": "organism:sft"}, ["x"], tmp_path)


def test_lm_eval_is_asked_in_its_own_words(tmp_path: Path) -> None:
    asked = HarnessRun(("gsm8k", "ifeval"), limit=5, fewshot=0, chat=True, dtype="bfloat16", seed=3)
    words = asked.command(Path("model"), tmp_path)
    options = dict(itertools.pairwise(words))
    assert options["--model_args"] == "pretrained=model,dtype=bfloat16"
    assert (options["--tasks"], options["--limit"], options["--num_fewshot"]) == ("gsm8k,ifeval", "5", "0")
    assert {"--log_samples", "--apply_chat_template"} <= set(words)
    assert not {"--device", "--include_path"} & set(words)

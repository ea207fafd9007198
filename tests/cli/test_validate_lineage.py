import json

import pytest

from slr_probe.lineage import Lineage
from slr_probe.validation import ValidationReport
from tests.lineage.test_scores import STAGES


@pytest.fixture
def prompts(tmp_path):
    file = tmp_path / "mine.jsonl"
    rows = [{"id": f"w{i}", "prompt": f"Write {i}"} for i in range(3)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_validate(run, pair_of, prompts, tmp_path):
    pair = pair_of("llama")
    out = tmp_path / "out"
    code, text, _ = run("validate", *pair.folders, "--layers", "1:2", "--tasks", prompts, "--samples", 2,
                        "--max-tokens", 4, "--baselines", "early,base_plain", "--out", out, "--json",
                        tmp_path / "report.json", "--quiet", "--device", "cpu")  # fmt: skip
    assert code == 0
    found = ValidationReport.load(out / "report.npz")
    assert found.models == ("tuned", "hybrid 1:2", "early 0:1", "base (plain)")
    for line in found.verdicts:
        assert line in text
    assert json.loads((tmp_path / "report.json").read_text())["verdicts"] == list(found.verdicts)


def test_lineage(run, pair_of, prompts, tmp_path):
    pair = pair_of("llama")
    out = tmp_path / "out"
    code, text, _ = run("lineage", "--stage", f"base={pair.base}", "--stage", f"sft={pair.tuned}", "--tasks", prompts,
                        "--samples", 2, "--max-tokens", 4, "--out", out, "--quiet", "--device", "cpu")  # fmt: skip
    assert code == 0
    found = Lineage.load(out / "lineage.npz")
    assert found.stages == ("base", "sft")
    assert repr(found) in text


def test_lineage_of_saved_outputs(run, tmp_path):
    given = []
    for name, one in STAGES:
        given += ["--stage", f"{name}={one.save(tmp_path / f'{name}.jsonl')}"]
    code, text, _ = run("lineage", *given, "--vocabulary", 1000, "--json", tmp_path / "lineage.json", "--out",
                        tmp_path / "out")  # fmt: skip
    assert code == 0
    table = json.loads((tmp_path / "lineage.json").read_text())["table"]
    assert {row["stage"] for row in table} == {"sft", "dpo"}
    assert "EAD" in text
    assert (tmp_path / "out" / "lineage.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["validate", "organism:base", "organism:dpo", "--layers", "3:99"], "3:99"),
        (["validate", "organism:base", "organism:dpo", "--layers", "3:9", "--tasks", "poetry"], "no task 'poetry'"),
        (["validate", "organism:base", "organism:dpo", "--layers", "3:9", "--baselines", "x"], "unknown baseline 'x'"),
        (["validate", "organism:base", "organism:dpo", "-l", "3:9", "--samples", "1"], "samples of at least 2"),
        (["validate", "organism:base", "organism:dpo", "-l", "3:9", "--judge", "http://x"], "--judge needs"),
        (["lineage", "--stage", "base=organism:base"], "at least two stages"),
        (["lineage", "--stage", "organism:base"], "--stage must be NAME=CHECKPOINT"),
        (["lineage", "--stage", "a/b=organism:base"], "the first --stage must be base"),
        (["lineage", "--stage", "base=organism:base", "--stage", "sft=a.jsonl"], "all saved outputs"),
        (["lineage", "--stage", "base=a.jsonl", "--stage", "sft=b.jsonl"], "a.jsonl"),
    ],
)
def test_bad_input_is_one_line(run, arguments, message):
    code, _, err = run(*arguments)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("verb", ["validate", "lineage"])
def test_help_teaches(run, verb):
    code, text, _ = run(verb, "--help")
    assert code == 0
    assert "Example: slr-probe" in text

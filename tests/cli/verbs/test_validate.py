"""`slr-probe validate` as a user meets it."""

import json

import pytest

from slr_probe.validation import ValidationReport


def test_validate(run, pair_of, prompts, tmp_path):
    out, file = tmp_path / "out", tmp_path / "report.json"
    size = ["--samples", 2, "--max-tokens", 4, "--baselines", "early,base_plain", "--device", "cpu"]
    places = ["--out", out, "--json", file]
    code, text, _ = run("validate", *pair_of("llama").folders, "--layers", "1:2", "--tasks", prompts, *size, *places)
    assert code == 0
    found = ValidationReport.load(out / "report.npz")
    assert found.models == ("tuned", "hybrid 1:2", "early 0:1", "base (plain)")
    for line in found.verdicts:
        assert line in text
    assert json.loads(file.read_text())["verdicts"] == list(found.verdicts)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["validate", "organism:base", "organism:dpo", "--layers", "3:99"], "3:99"),
        (["validate", "organism:base", "organism:dpo", "--layers", "3:9", "--tasks", "poetry"], "no task 'poetry'"),
        (["validate", "organism:base", "organism:dpo", "--layers", "3:9", "--baselines", "x"], "unknown baseline 'x'"),
        (["validate", "organism:base", "organism:dpo", "-l", "3:9", "--samples", "1"], "samples of at least 2"),
        (["validate", "organism:base", "organism:dpo", "-l", "3:9", "--judge", "http://x"], "--judge needs"),
    ],
)
def test_bad_input_is_one_line(run, arguments, message):
    code, _, err = run(*arguments)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_help_teaches(run):
    code, text, _ = run("validate", "--help")
    assert code == 0
    assert "Example: slr-probe" in text

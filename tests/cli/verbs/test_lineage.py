"""`slr-probe lineage` as a user meets it."""

import json

import pytest

from slr_probe.lineage import Lineage
from tests.lineage.test_scores import STAGES


def test_lineage(run, pair_of, prompts, tmp_path):
    pair, out = pair_of("llama"), tmp_path / "out"
    stages = ["--stage", f"base={pair.base}", "--stage", f"sft={pair.tuned}"]
    size = ["--samples", 2, "--max-tokens", 4, "--quiet", "--device", "cpu"]
    code, text, _ = run("lineage", *stages, "--tasks", prompts, *size, "--out", out)
    assert code == 0
    found = Lineage.load(out / "lineage.npz")
    assert found.stages == ("base", "sft")
    assert repr(found) in text


def test_lineage_of_saved_outputs(run, tmp_path):
    stages = []
    for name, outputs in STAGES:
        stages += ["--stage", f"{name}={outputs.save(tmp_path / f'{name}.jsonl')}"]
    places = ["--json", tmp_path / "lineage.json", "--out", tmp_path / "out"]
    code, text, _ = run("lineage", *stages, "--vocabulary", 1000, *places)
    assert code == 0
    table = json.loads((tmp_path / "lineage.json").read_text())["table"]
    assert {row["stage"] for row in table} == {"sft", "dpo"}
    assert "EAD" in text
    assert (tmp_path / "out" / "lineage.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
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


def test_help_teaches(run):
    code, text, _ = run("lineage", "--help")
    assert code == 0
    assert "Example: slr-probe" in text

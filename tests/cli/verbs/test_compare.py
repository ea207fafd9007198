"""`slr-probe compare` as a user meets it."""

import json

import pytest

from slr_probe.comparison import OutputComparison
from tests.comparison.test_outputs import FAR, NEAR, TUNED


@pytest.fixture
def files(tmp_path):
    """Saved outputs of three models."""
    return [one.save(tmp_path / f"{one.model}.jsonl") for one in (TUNED, NEAR, FAR)]


def test_compare(run, files, tmp_path):
    out, file = tmp_path / "out", tmp_path / "comparison.json"
    code, text, _ = run("compare", *files, "--vocabulary", 1000, "--out", out, "--json", file)
    assert code == 0
    found = OutputComparison.load(out / "comparison.npz")
    assert found.models == ("tuned", "near", "far")
    assert repr(found) in text
    assert {row["model"] for row in json.loads(file.read_text())["table"]} == set(found.models)


def test_names(run, files, tmp_path):
    out = tmp_path / "out"
    code, _, _ = run("compare", f"old={files[0]}", f"new={files[2]}", "--reference", "new", "--out", out)
    assert code == 0
    assert OutputComparison.load(out / "comparison.npz").models == ("new", "old")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.jsonl"], "a.jsonl"),
        (["a=a.jsonl", "b.jsonl"], "every source a name"),
        (["a=a.jsonl", "a=b.jsonl"], "a name of its own"),
    ],
)
def test_bad_input_is_one_line(run, arguments, message):
    code, _, err = run("compare", *arguments)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_checkpoints(run, pair_of, prompts, tmp_path):
    pair, out = pair_of("llama"), tmp_path / "out"
    size = ["--samples", 2, "--max-tokens", 4, "--device", "cpu", "--quiet", "--tasks", prompts]
    code, _, _ = run("compare", f"one={pair.base}", f"two={pair.tuned}", *size, "--out", out)
    assert code == 0
    assert OutputComparison.load(out / "comparison.npz").models == ("one", "two")


def test_hybrid_against_hybrid(run, pair_of, prompts, tmp_path):
    size = ["--samples", 2, "--max-tokens", 4, "--device", "cpu", "--quiet", "--tasks", prompts]
    asked = ["--layers", "1:2", "--layers", "soup:0.5", "--reference", "hybrid 1:2", "--out", tmp_path / "out"]
    code, text, _ = run("compare", *pair_of("llama").folders, *asked, *size)
    assert code == 0
    found = OutputComparison.load(tmp_path / "out" / "comparison.npz")
    assert found.models == ("hybrid 1:2", "tuned", "soup 0.5")
    assert "against hybrid 1:2" in text


@pytest.mark.parametrize("sources", [["organism:base"], ["a=organism:base", "b=organism:dpo"], ["a", "b", "c"]])
def test_hybrids_need_a_pair(run, sources):
    code, _, err = run("compare", *sources, "--layers", "2:4")
    assert code == 2
    assert "needs BASE and TUNED" in err


def test_options_that_would_change_nothing_are_refused(run, files):
    code, _, err = run("compare", *files, "--samples", 3)
    assert code == 2
    assert "--samples would change nothing" in err


def test_outputs_and_checkpoints_do_not_mix(run, files):
    code, _, err = run("compare", files[0], "organism:dpo")
    assert code == 2
    assert "got both" in err

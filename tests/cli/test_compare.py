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

"""Places that a user names are checked before any work: here the checkpoints do not even exist."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from slr_probe.cli import program
from slr_probe.cli.output import check_places, write_result
from slr_probe.errors import OutputError
from tests.rank.planted import planted

STAGES = ["--stage", "base=nobody/base", "--stage", "sft=nobody/sft"]
VERBS = {
    "inspect": ["nobody/base", "nobody/tuned"],
    "delta": ["nobody/base", "nobody/tuned"],
    "lens": ["nobody/base", "nobody/tuned"],
    "patch": ["nobody/base", "nobody/tuned"],
    "mask": ["nobody/base", "nobody/tuned"],
    "rank": ["nobody/base", "nobody/tuned"],
    "validate": ["nobody/base", "nobody/tuned", "--layers", "1:2"],
    "lineage": STAGES,
}
NOWHERE = "/proc/nobody/can/write"


@pytest.mark.skipif(sys.platform != "linux", reason="a folder that nobody can write, root included")
@pytest.mark.parametrize("option", ["--out", "--json"])
@pytest.mark.parametrize("verb", VERBS)
def test_what_cannot_be_written_is_said_first(run, verb, option):
    if (verb, option) == ("inspect", "--out"):
        pytest.skip("inspect writes no folder")
    code, _, err = run(verb, *VERBS[verb], option, NOWHERE)
    assert code == 2
    assert err.startswith(f"error: cannot write {NOWHERE}")
    assert len(err.splitlines()) == 1


RESULTS = {"delta": "weight_delta", "lens": "lens", "patch": "patching", "mask": "mask", "rank": "ranking"}


@pytest.mark.parametrize("verb", RESULTS)
def test_no_file_of_the_users_is_written_over(run, verb, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    code, _, err = run(verb, *VERBS[verb], "--out", tmp_path)
    assert (code, "is a checkpoint" in err) == (2, True)
    (tmp_path / "config.json").rename(tmp_path / f"{RESULTS[verb]}.csv")
    code, _, err = run(verb, *VERBS[verb], "--out", tmp_path)
    assert (code, f"has a {RESULTS[verb]}.csv that came without" in err) == (2, True)
    (tmp_path / f"{RESULTS[verb]}.npz").touch()  # of the same verb's last call
    assert "--out" not in run(verb, *VERBS[verb], "--out", tmp_path)[2]


@pytest.mark.parametrize("settings", ["config.json", "adapter_config.json"])
@pytest.mark.parametrize("name", ["config.json", "new.json"])
def test_json_goes_into_no_checkpoint(name, settings, tmp_path):
    blob, folder = tmp_path / "blobs" / "12ab", tmp_path / "snapshot"
    for one in (blob.parent, folder):
        one.mkdir()
    blob.write_text("{}")
    (folder / settings).symlink_to(blob)  # as in the hub's cache
    check_places(None, folder / "new.json")  # a project's own config.json is no checkpoint
    (folder / "model.safetensors").touch()
    (tmp_path / "inside.json").symlink_to(folder / "new.json")
    for place in (folder / name, folder / settings, tmp_path / "inside.json"):
        with pytest.raises(OutputError, match="among the files of a checkpoint"):
            check_places(None, place)


def test_a_mask_writes_over_no_recipe(run, tmp_path):
    (tmp_path / "recipe.json").write_text("mine")
    code, _, err = run("mask", *VERBS["mask"], "--out", tmp_path)
    assert (code, "has a recipe.json that came without mask.npz" in err) == (2, True)
    assert (tmp_path / "recipe.json").read_text() == "mine"


@pytest.mark.parametrize(("option", "value"), [("--keep", "2"), ("--keep", "-0.1"), ("--freeze", "1")])
def test_shares_of_a_mask_are_checked_first(run, option, value):
    code, _, err = run("mask", "nobody/base", "nobody/tuned", option, value)
    assert code == 2
    assert err.startswith(f"error: {option} is ")


def test_an_unknown_metric_is_said_before_scoring(run):
    code, _, err = run("lineage", "--stage", "base=absent.jsonl", "--stage", "sft=absent.jsonl", "--metric", "charm")
    assert code == 2
    assert "unknown metric 'charm'; expected one of ead, " in err


def test_places_that_can_be_written_are_left_as_they_are(tmp_path):
    (tmp_path / "old.json").write_text("{}")
    check_places(tmp_path / "new" / "folder", tmp_path / "old.json")
    check_places(tmp_path, tmp_path / "new.json")
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="streams have no names")
@pytest.mark.parametrize("name", ["/dev/null", "/dev/stdout"])
def test_devices_are_written_into(name):
    check_places(None, Path(name))


def test_names_that_no_file_can_have(tmp_path):
    with pytest.raises(OutputError, match="cannot write"):
        check_places(tmp_path / ("x" * 300), None)
    with pytest.raises(OutputError, match="cannot write"):
        check_places(None, tmp_path / ("x" * 300))


def test_a_result_is_written_with_its_table(tmp_path, capsys):
    ranking = planted()
    said = write_result(ranking, tmp_path, "ranking")
    read = pd.read_csv(tmp_path / "ranking.csv")
    np.testing.assert_allclose(read["diversity"], ranking.to_dataframe()["diversity"])
    assert said.startswith("wrote ")
    assert "ranking.csv" in said
    assert not capsys.readouterr().out  # the verb prints it last
    assert write_result(ranking, None, "ranking") == ""


PAIR = ("organism:base", "organism:dpo")


@pytest.mark.parametrize(
    ("verb", "kept"),
    [
        (("delta", *PAIR), "weight_delta.npz"),
        (("lens", *PAIR), "lens.npz"),
        (("mask", *PAIR, "--steps", "1"), "freeze.json"),
    ],
)
def test_what_was_found_is_kept_where_nobody_reads_on(verb, kept, tmp_path, monkeypatch):
    def close(*_, **__):
        raise BrokenPipeError

    monkeypatch.setattr("builtins.print", close)
    CliRunner().invoke(program(), [*verb, "--out", str(tmp_path), "-q"])
    assert (tmp_path / kept).exists()


FIRST = """
import subprocess
import sys
from slr_probe.cli import main

full, *verbs = sys.argv[1:]
for verb in verbs:
    sys.argv = ["slr-probe", *verb.split(), "--out", full]
    try:
        main()
    except SystemExit as end:
        assert end.code == 2, (verb, end.code)
    assert "torch" not in sys.modules, verb
"""


def test_a_folder_of_something_else_is_refused_before_torch_is_loaded(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    pair = "organism:base organism:dpo"
    stages = "--stage base=organism:base --stage dpo=organism:dpo"
    verbs = [f"validate {pair} -l 3:9", f"compare {pair}", f"lineage {stages}", f"run {pair}", "demo", "table no.toml"]
    verbs += [f"restore {pair} -l 3:9", f"export {pair} -l 3:9"]
    done = subprocess.run([sys.executable, "-c", FIRST, tmp_path, *verbs], capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    assert done.returncode == 0, done.stderr
    assert len(lines) == len(verbs)
    assert all(line.startswith("error: ") for line in lines)
    assert sum("is not empty" in line for line in lines) == len(verbs) - 1  # a patch is a file
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_inspect_writes_its_table_and_replaces_nothing_of_a_checkpoint(run, pair_of, tmp_path):
    base, tuned = pair_of("llama").folders
    code, out, _ = run("inspect", base, tuned, "--csv", tmp_path / "blocks.csv")
    assert code == 0
    table = pd.read_csv(tmp_path / "blocks.csv")
    assert list(table["block"]) == list(range(len(table)))
    assert all(f"{count:,}" in out for count in table["parameters"])
    code, _, err = run("inspect", base, tuned, "--csv", tuned / "new.csv")
    assert (code, "among the files of a checkpoint" in err) == (2, True)
    assert not (tuned / "new.csv").exists()


def test_a_surprise_may_be_none(run):
    for value, said in (("none", "absent.json"), ("much", "at least 1, or none; got 'much'")):
        code, _, err = run("rank", "organism:base", "organism:dpo", "--surprise", value, "--task", "absent.json")
        assert code == 2
        assert said in err

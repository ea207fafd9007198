"""The scripts of `analyses/`, run as a user runs them."""

import importlib
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest

from slr_probe import ModelPair, weight_delta
from slr_probe.errors import StudyError

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path for path in (ROOT / "analyses").glob("*.py") if "__main__" in path.read_text(encoding="utf-8"))


def call(script, *args, **more):
    """Run one script; no hub, no accelerator."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", **more}
    command = [sys.executable, str(ROOT / "analyses" / f"{script}.py"), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300, check=False)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Where results and figures of this module go."""
    return tmp_path_factory.mktemp("analyses")


@pytest.fixture
def common(monkeypatch):
    """What the scripts share, imported as they import it; matplotlib's settings are put back."""
    monkeypatch.syspath_prepend(str(ROOT / "analyses"))
    with matplotlib.rc_context():
        yield importlib.import_module("common")


def places(work):
    return ("--results", work / "results", "--figures", work / "figures")


def test_the_makefile_knows_every_script():
    rules = (ROOT / "Makefile").read_text()
    missing = [path.stem for path in SCRIPTS if path.stem not in rules]
    assert len(SCRIPTS) >= 9
    assert not missing


@pytest.mark.parametrize("script", [path.stem for path in SCRIPTS])
def test_help_says_what_is_written(script, common, monkeypatch, capsys):
    path = ROOT / "analyses" / f"{script}.py"
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    with pytest.raises(SystemExit) as done:
        runpy.run_path(str(path), run_name="__main__")
    assert done.value.code == 0
    said = capsys.readouterr().out
    assert f"python analyses/{script}.py" in said
    assert "Writes " in said


def test_weight_delta_writes_figure_table_and_record(work):
    done = call("weight_delta", "organism:base", "organism:sft", "--set", "delta.spectral=none", *places(work))
    assert done.returncode == 0, done.stderr
    figures = work / "figures"
    assert (figures / "weight_delta.pdf").read_bytes().startswith(b"%PDF")
    assert (figures / "weight_delta.png").read_bytes().startswith(b"\x89PNG")
    found = pd.read_csv(figures / "weight_delta.csv")
    direct = weight_delta(ModelPair.load("organism:base", "organism:sft"), spectral="none").to_dataframe()
    assert list(found["name"]) == list(direct["name"])
    np.testing.assert_allclose(found["delta_norm"], direct["delta_norm"], rtol=1e-5)  # six digits are written
    record = json.loads((figures / "weight_delta.json").read_text())
    assert record["command"].startswith("python analyses/weight_delta.py organism:base organism:sft --set")
    readme = (figures / "README.md").read_text()
    assert record["command"] in readme
    assert "![weight_delta](weight_delta.png)" in readme


def test_ranges_are_swept_once_and_read_again(work):
    settings = ("rank.prompts=5", "rank.resamples=200", "rank.soups=0", "rank.guards=false")
    small = [part for setting in settings for part in ("--set", setting)]
    args = ("organism:base", "organism:sft", *small, *places(work))
    first, second = call("crc_heatmaps", *args), call("tradeoff", *args)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert " rank " in first.stdout
    assert " rank " not in second.stdout
    figures = work / "figures"
    maps, rows = (pd.read_csv(figures / f"{name}.csv") for name in ("crc_heatmaps", "tradeoff"))
    assert len(maps) == 55
    ranges = rows[rows["kind"] == "range"]
    np.testing.assert_array_equal(maps["diversity"], ranges["diversity"])
    for start, stop, low, value, high in maps[["start", "stop", "diversity_low", "diversity", "diversity_high"]].values:
        assert 0 <= start < stop <= 10
        assert low <= value <= high
    assert {"tuned", "base", "full", "early", "late", "random"} <= set(rows["kind"])
    readme = (figures / "README.md").read_text()
    assert readme.index("## crc_heatmaps") < readme.index("## tradeoff")


def test_results_of_another_pair_are_refused(work, common):
    pair = ("organism:base", "organism:sft", *map(str, places(work)))
    common.Analysis(common.parser(None).parse_args(pair)).study()
    other = ("organism:base", "organism:dpo", *map(str, places(work)))
    with pytest.raises(StudyError, match="another pair"):
        common.Analysis(common.parser(None).parse_args(other))


@pytest.mark.parametrize(
    ("change", "words"), [("rank", "TABLE.KEY=VALUE"), ("rank.prompt=5", "unknown setting 'prompt'")]
)
def test_a_setting_that_does_not_exist_is_one_line(work, common, monkeypatch, change, words):
    line = ["analyses/tradeoff.py", "--set", change, *map(str, places(work / "none"))]
    monkeypatch.setattr(sys, "argv", line)
    with pytest.raises(SystemExit) as done:
        common.main("", lambda analysis: None)
    assert str(done.value.code).startswith("tradeoff.py: ")
    assert words in str(done.value.code)


def test_commands_name_the_real_pair_by_its_variable(common, monkeypatch):
    monkeypatch.setenv("SLR_PROBE_PAIR", "/some/where/pair")
    line = ["analyses/tradeoff.py", "/some/where/pair/base", "/some/where/pair/tuned", "--quick"]
    monkeypatch.setattr(sys, "argv", line)
    wanted = "python analyses/tradeoff.py $SLR_PROBE_PAIR/base $SLR_PROBE_PAIR/tuned --quick"
    assert common._command() == wanted

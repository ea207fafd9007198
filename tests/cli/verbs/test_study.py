"""`slr-probe run` and `slr-probe demo` as a user meets them."""

import pytest

from slr_probe.study.folder import Findings
from slr_probe.study.report.page import plain_verdict
from tests.study.sample import small_study


def test_demo_reads_back_what_is_there_and_sums_up(run, tmp_path):
    import shutil

    folder = shutil.copytree(small_study(), tmp_path / "study")
    again = ("--settings", small_study() / "settings.toml", "--quiet")
    code, out, _ = run("demo", "--tuned", "organism:dpo", "--out", folder, *again)
    assert code == 0
    lines = out.splitlines()
    stages = [line for line in lines if line.endswith("(kept)")]
    assert len(stages) == 9
    assert lines[-1].startswith("time")
    assert any(line.startswith("report ") and str(folder / "report.html") in line for line in lines)
    assert any(line.startswith("hybrid ") for line in lines)
    verdict = plain_verdict(Findings(folder))
    assert verdict
    assert all(sentence in " ".join(lines) for sentence in verdict)


def test_single_settings_overrule_the_file(run, tmp_path):
    import shutil

    folder = shutil.copytree(small_study(), tmp_path / "study")
    code, out, _ = run(
        "run",
        "organism:base",
        "organism:dpo",
        "--out",
        folder,
        "--quiet",
        "--device",
        "cpu",
        "--settings",
        small_study() / "settings.toml",
        "--set",
        "validate.enabled=false",
        "--set",
        "rank.floor=0.8",
        "--set",
        "rank.guards=false",
    )
    assert code == 0
    assert "8/8" in out
    settings = (folder / "settings.toml").read_text()
    assert "floor = 0.8" in settings
    assert "guards = false" in settings


@pytest.mark.parametrize("verb", ["run", "demo"])
def test_help_teaches(run, verb):
    code, out, _ = run(verb, "--help")
    assert code == 0
    for word in ("Stages: inspect, delta, lens, patching, rank", "Example: slr-probe", "--only", "--from", "--set"):
        assert word in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent", "organism:dpo", "--out", "OUT"], "'absent' does not exist"),
        (["organism:base", "organism:dpo2", "--out", "OUT"], "dpo2"),
        (["organism:base", "organism:dpo", "--out", "FULL"], "is not empty and holds no run"),
        (["organism:base", "organism:dpo", "--out", "OUT", "--only", "sweep"], "unknown stage 'sweep'"),
        (["organism:base", "organism:dpo", "--out", "OUT", "--only", "rank", "--from", "lens"], "not both"),
        (["organism:base", "organism:dpo", "--out", "OUT", "--quick", "--full"], "--quick or --full"),
        (["organism:base", "organism:dpo", "--out", "OUT", "--set", "rank.flor=1"], "unknown setting 'flor'"),
        (["organism:base", "organism:dpo", "--out", "OUT", "--set", "floor"], "is not TABLE.KEY=VALUE"),
        (["organism:base", "organism:dpo", "--out", "OUT", "--settings", "absent.toml"], "cannot read absent.toml"),
        (["organism:base", "organism:dpo", "--out", "OUT", "--set", "restore.layers=3:30"], "3:30"),
        (["organism:base", "organism:dpo", "--out", "OUT", "--set", "rank.task=none.json"], "none.json"),
        (["organism:base", "organism:dpo", "--out", "OUT", "--set", 'validate.baselines=["ealry"]'], "'ealry'"),
        (["organism:base", "organism:dpo", "--out", "OUT", "--set", 'validate.families=["poems"]'], "'poems'"),
        (["organism:base", "organism:dpo", "--out", "OUT", "--set", "validate.samples=1"], "at least 2"),
        (["organism:base", "organism:dpo", "--out", "OUT", "--device", "cuda:99x"], "device"),
    ],
)
def test_bad_input_is_one_line_before_any_work(run, tmp_path, arguments, said):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("precious")
    places = {"OUT": tmp_path / "out", "FULL": tmp_path / "full"}
    code, out, err = run("run", *(places.get(one, one) for one in arguments))
    assert code == 2
    assert out == ""
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]


def test_an_incompatible_pair_is_one_line(run, pair_of, tmp_path):
    code, _, err = run("run", pair_of("llama").base, pair_of("gpt2").tuned, "--out", tmp_path / "out")
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from slr_probe import ModelPair, rank_layers, verify_hybrid
from slr_probe.errors import SlrProbeError, StudyError
from slr_probe.rank import RangeRanking
from slr_probe.study import Settings, run_study
from slr_probe.study.folder import Findings
from slr_probe.study.stages.prompts import choose
from slr_probe.study.toml import write_toml
from tests.study.sample import NO_TEXT, PAIR, SMALL

RESULTS = (
    "delta/weight_delta.npz",
    "lens/lens.npz",
    "patching/patching.npz",
    "rank/ranking.npz",
    "validate/report.npz",
)


def again(folder, settings=SMALL, **options):
    """Run a study and return the lines it said."""
    lines = []
    options = {"device": "cpu", "progress": False, **options}
    run_study(*PAIR, folder, Settings.from_dict(settings), say=lines.append, **options)
    return lines


def ran(lines):
    """Names of the stages that were run and not kept."""
    return [line.split()[1] for line in lines if not line.endswith(("(kept)", "..."))]


def same_results(one, other, names=RESULTS):
    for name in names:
        with np.load(one / name) as a, np.load(other / name) as b:
            assert a.files == b.files
            for key in a.files:
                if key == "__slr_probe__":  # paths and dates apart, what is not an array
                    continue
                np.testing.assert_array_equal(a[key], b[key], err_msg=f"{name}: {key}")


def test_every_stage_leaves_result_table_and_figures(done):
    for stem in ("delta/weight_delta", "lens/lens", "patching/patching", "rank/ranking"):
        for suffix in (".npz", ".csv", ".pdf", ".png"):
            assert (done / f"{stem}{suffix}").stat().st_size > 100
    run = json.loads((done / "run.json").read_text())
    assert list(run["stages"]) == "inspect delta lens patching rank restore verify validate report".split()
    assert all(record["seconds"] >= 0 and record["status"] == "done" for record in run["stages"].values())
    assert run["versions"]["torch"] == __import__("torch").__version__
    assert len(run["pair"]["base"]["fingerprint"]) == 64
    assert run["pair"]["base"]["fingerprint"] != run["pair"]["tuned"]["fingerprint"]
    assert not [path for path in done.rglob("*") if "partial" in path.name or path.name.endswith(".started")]


def test_the_ranking_is_what_rank_layers_says(done):
    from slr_probe.study.context import Context

    context = Context(*PAIR, done, Settings.from_dict(SMALL), "cpu")
    task = choose(context, 5)
    assert {len(part.items) for part in (task.selection, task.held_out)} == {10}
    direct = rank_layers(ModelPair.load(*PAIR, device="cpu", dtype="float32"), task, soups=0, resamples=200)
    found = Findings(done).ranking
    np.testing.assert_allclose(found.validity, direct.validity, atol=1e-5)  # other batches, float32
    np.testing.assert_allclose(found.diversity, direct.diversity, atol=1e-5)
    assert found.best == direct.best


def test_the_hybrid_is_the_best_range(done):
    found = Findings(done)
    report = verify_hybrid(found.hybrid)
    assert report.ok
    assert report.recipe.layers == found.ranking.best


def test_a_finished_study_is_kept(own):
    before = {path: path.stat().st_mtime_ns for path in own.rglob("*.npz")}
    told = []
    assert ran(again(own, log=lambda numbers, step: told.append((step, numbers)))) == []
    stages = list(Findings(own).run["stages"])
    assert [(step, sum(name == f"run/{stages[step - 1]}/seconds" for name in numbers)) for step, numbers in told] == [
        (step, 1) for step in range(1, len(stages) + 1)
    ]
    every = {name for _, numbers in told for name in numbers}
    assert {"rank/diversity", "validate/open questions (embedded pair)/tuned/ead"} <= every
    assert before == {path: path.stat().st_mtime_ns for path in own.rglob("*.npz")}


def test_only_what_follows_from_a_setting_is_done_again(own):
    changed = {**NO_TEXT, "rank": {**SMALL["rank"], "floor": 0.5, "guards": False}}
    assert ran(again(own, changed)) == ["rank", "restore", "verify", "report"]
    assert Findings(own).ranking.floor == 0.5
    assert Findings(own).validation is None  # it is of other settings
    assert ran(again(own, {**changed, "lens": {"prompts": 1}})) == ["lens", "report"]


def test_a_stage_with_a_missing_file_is_done_again(own, done):
    (own / "patching" / "patching.csv").unlink()
    assert ran(again(own)) == ["patching"]
    same_results(own, done, ["patching/patching.npz"])


def test_one_stage_alone_and_from_a_stage_on(own, done):
    assert ran(again(own, only="lens")) == ["lens"]
    assert ran(again(own, start="verify")) == ["verify", "validate", "report"]
    same_results(own, done)


def test_checkpoints_that_were_written_to_leave_nothing_done(own, monkeypatch):
    monkeypatch.setattr("slr_probe.study.run.state_of", lambda side: "written to")
    with pytest.raises(StudyError, match="--only verify reads restore, not done"):
        again(own, only="verify")


def test_only_needs_what_it_reads(tmp_path):
    with pytest.raises(StudyError, match="--only restore reads rank, not done"):
        again(tmp_path / "study", only="restore")


def test_a_failed_stage_says_what_is_kept_and_goes_on(tmp_path, monkeypatch, done):
    import slr_probe.probes.lens.lens

    def broken(*args, **kwargs):
        raise faults.pop(0)

    faults = [SlrProbeError("block 3 has NaN"), MemoryError()]
    with monkeypatch.context() as patch:
        patch.setattr(slr_probe.probes.lens.lens, "logit_lens", broken)
        with pytest.raises(StudyError, match=r"stage 'lens' failed: block 3 has NaN; kept in .*: inspect, delta; the"):
            again(tmp_path / "study", NO_TEXT)
        with pytest.raises(StudyError, match="stage 'lens' failed: MemoryError; kept"):  # which has no message
            again(tmp_path / "study", NO_TEXT)
    run = json.loads((tmp_path / "study" / "run.json").read_text())
    assert run["stages"]["lens"]["status"] == "failed"
    assert Findings(tmp_path / "study").lens is None
    assert ran(again(tmp_path / "study", NO_TEXT, only="lens")) == ["lens"]
    same_results(tmp_path / "study", done, ["delta/weight_delta.npz", "lens/lens.npz"])


def test_a_killed_run_goes_on_to_the_same_result(tmp_path, done):
    settings = tmp_path / "study.toml"
    asked = {**NO_TEXT, "rank": {**SMALL["rank"], "guards": False}}
    settings.write_text(write_toml(Settings.from_dict(asked).to_dict()))
    program = [sys.executable, "-c", "from slr_probe.cli import main; main()"]
    command = [
        *program,
        "demo",
        "--tuned",
        "organism:dpo",
        "--out",
        str(tmp_path / "study"),
        "--settings",
        str(settings),
        "--quiet",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        for line in process.stdout:
            if " patching " in line:  # the next one is at work
                os.kill(process.pid, signal.SIGKILL)
                break
    assert process.wait() == -signal.SIGKILL
    lines = again(tmp_path / "study", asked)
    assert ran(lines)[-1] == "report"
    assert "delta" not in ran(lines)
    same_results(tmp_path / "study", done, RESULTS[:3])  # the ranking is without guards, in less time
    found, whole = Findings(tmp_path / "study").ranking, Findings(done).ranking
    np.testing.assert_allclose(found.validity, whole.validity, atol=1e-5)  # other batches, float32
    np.testing.assert_allclose(found.diversity, whole.diversity, atol=1e-5)
    assert not [path for path in (tmp_path / "study").rglob("*") if "partial" in path.name]


def test_nothing_is_restored_where_no_range_keeps_the_floor(own):
    ranking = Findings(own).ranking
    low = ranking.validity.copy()
    low[: len(ranking.ranges)] *= 0.1
    replace(ranking, validity=low).save(own / "rank" / "ranking.npz")
    lines = again(own, start="restore")
    skipped = [line.split()[1] for line in lines if "skipped: " in line]
    assert skipped == ["restore", "verify", "validate"]
    assert not (own / "hybrid").exists()
    page = (own / "report.html").read_text()
    assert "No range is recommended: no range keeps at least 0.9 of tuned&#39;s validity" in page
    assert "Nothing was restored" in page
    assert Findings(own).hybrid is None


def test_a_range_that_is_named_overrules_the_ranking(own):
    lines = again(own, {**SMALL, "restore": {"layers": "1:3"}})
    assert ran(lines) == ["restore", "verify", "validate", "report"]
    assert str(verify_hybrid(own / "hybrid").recipe.layers) == "1:3"
    assert "whatever the ranking says" in (own / "report.html").read_text()


def test_a_ranking_survives_the_folder(done):
    assert isinstance(Findings(done).ranking, RangeRanking)
    assert "rank" in repr(Findings(done))


def test_a_learned_mask_joins_the_profile_when_it_is_asked_for(own):
    lines = again(own, {**NO_TEXT, "mask": {"enabled": True, "steps": 2}})
    assert ran(lines) == ["mask", "report"]
    assert Findings(own).mask.depth == 10
    assert "Learned mask" in (own / "report.html").read_text()

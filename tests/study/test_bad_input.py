"""Bad input is refused before any work is done, and nothing of the user's is touched."""

import pytest

from slr_probe.errors import OutputError, SlrProbeError, StudyError
from slr_probe.study import Settings, run_study
from slr_probe.study.records import Records
from tests.study.sample import PAIR, SMALL


def again(folder, settings=SMALL, **options):
    run_study(*PAIR, folder, Settings.from_dict(settings), device="cpu", progress=False, **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"only": "lense"}, "unknown stage 'lense'; expected one of inspect, delta"),
        ({"start": "mask"}, r"unknown stage 'mask' \(its settings leave it out\)"),
        ({"only": "lens", "start": "rank"}, "not both"),
    ],
)
def test_unknown_stages_are_refused_before_any_work(tmp_path, options, said):
    with pytest.raises(StudyError, match=said):
        again(tmp_path / "study", **options)
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"restore": {"layers": "3:99"}},
        {"rank": {"task": "absent.json"}},
        {"patching": {"window": 99}},
        {"common": {"memory": "lots"}},
        {"rank": {"temperature": 0.0}},
    ],
)
def test_settings_that_do_not_fit_the_pair_are_refused_before_any_work(tmp_path, settings):
    with pytest.raises(SlrProbeError):
        again(tmp_path / "study", settings)
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("fast", "unknown preset 'fast'; expected one of quick"),
        ({"rank": {"flor": 0.8}}, "unknown setting 'flor'"),
        (3, "the name of a preset or a mapping of tables; got int"),
    ],
)
def test_settings_may_be_a_name_or_tables(tmp_path, settings, said):
    with pytest.raises(StudyError, match=said):
        run_study("organism:base", "organism:dpo", tmp_path / "study", settings)
    tables = {"preset": "quick", "rank": {"task": "absent.json"}}
    with pytest.raises(SlrProbeError, match=r"absent\.json"):  # read as settings, and what they name is looked for
        run_study("organism:base", "organism:dpo", tmp_path / "study", tables, device="cpu")
    assert not (tmp_path / "study").exists()


def test_a_folder_of_something_else_is_refused(tmp_path, own):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    with pytest.raises(StudyError, match="is not empty and holds no run"):
        again(tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
    with pytest.raises(StudyError, match=r"holds the run of another pair \(organism:base and organism:dpo"):
        run_study("organism:base", "organism:sft", own, Settings.from_dict(SMALL), device="cpu")
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match="is a file"):
        again(tmp_path / "file")


def test_two_runs_do_not_share_a_folder(own):
    with Records(own).locked(), pytest.raises(OutputError, match="in use by another process"):
        again(own)

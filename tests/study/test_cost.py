"""What a study will take is told before it begins, where there is something long to do and somebody to tell."""

import pytest

from slr_probe.progress import Cost
from slr_probe.study import cost as estimates
from slr_probe.study import run
from slr_probe.study.context import Context
from slr_probe.study.settings import Settings
from tests.study.sample import PAIR

MEASURING = "measuring how fast this machine is ..."


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Lines said before some stages, whose ranking and text would take so many seconds."""

    def tell(stages, *, rank=60.0, text=30.0, progress=None):
        monkeypatch.setattr(estimates, "_ranking", lambda context: Cost({"scores": rank}))
        monkeypatch.setattr(estimates, "_text", lambda context: Cost({"text": text}, ("a judge",)))
        context = Context(*PAIR, tmp_path, Settings(), "cpu", False, False, progress=progress)
        lines = []
        found = run._Study(context, None, (), {}, [], lines.append)._cost(stages)
        return found, lines

    return tell


def test_stages_have_their_shares(told):
    found, lines = told(["lens", "rank", "validate", "report"])
    assert list(found.parts) == ["lens", "rank", "validate", "report"]
    assert found.parts["rank"] == 60
    assert found.parts["validate"] == 30
    assert found.parts["lens"] == pytest.approx(90 * estimates.SHARES["lens"])
    assert found.unknown == ("a judge",)
    assert lines[0] == MEASURING
    assert len(lines) == 2
    assert str(found) in lines[1]


def test_a_quicker_way_is_named_where_it_takes_long(told):
    assert not any("--quick" in line for line in told(["rank"])[1])
    assert any("--quick" in line for line in told(["rank"], rank=1300.0)[1])


@pytest.mark.parametrize(("stages", "progress"), [(["lens", "report"], None), ([], None), (["rank"], False)])
def test_nothing_is_told_of_what_is_short_or_where_all_is_quiet(told, stages, progress):
    found, lines = told(stages, progress=progress)
    assert lines == []
    assert list(found.parts) == stages


def test_an_estimate_that_fails_leaves_the_word_to_the_work(told, monkeypatch):
    def broken(context):
        raise run.StudyError("no such pair")

    monkeypatch.setattr(run, "study_cost", lambda context, stages: broken(context))
    assert told(["rank"])[1] == [MEASURING]

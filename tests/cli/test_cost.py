"""What a verb costs is told before it begins, with a quicker way where it is long; quiet is quiet."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from slr_probe.cli import cost as told_cost
from slr_probe.cli.cost import foretold, usable_cores
from slr_probe.progress import Cost
from slr_probe.progress.course import running


@pytest.mark.parametrize(("seconds", "named"), [(60.0, False), (1300.0, True)])
def test_a_quicker_way_is_named_where_it_takes_long(capsys, seconds: float, named: bool) -> None:
    with foretold(lambda: Cost({"text": seconds}), "validate", quicker="--quick"):
        assert running().seconds == seconds
        assert capsys.readouterr().err == ""  # what is refused is refused without it
        running().advance(0.0)
        running().advance(0.5)
    told = capsys.readouterr().err
    assert told.startswith("validate takes about ")
    assert told.count("validate takes") == 1
    assert ("--quick" in told) is named


@pytest.mark.parametrize(("patience", "said"), [(0.01, True), (60.0, False)])
def test_an_estimate_that_takes_a_while_says_what_is_waited_for(capsys, monkeypatch, patience, said) -> None:
    """Before, a model of 270 M gave no sign for most of a minute."""
    monkeypatch.setattr(told_cost, "PATIENCE", patience)

    def slow() -> Cost:
        time.sleep(0.2)
        return Cost({"text": 1.0})

    with foretold(slow, "validate", quicker=""):
        assert capsys.readouterr().err == "validate: measuring how fast this machine is ...\n" * said


def test_quiet_estimates_nothing(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQDM_DISABLE", "1")
    with foretold(lambda: pytest.fail("it was estimated"), "rank", quicker=""):
        assert running() is None
    assert capsys.readouterr().err == ""


def test_a_container_has_as_many_cores_as_its_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    for quota, cores in (("max 100000", 8), ("250000 100000", 2), ("10000 100000", 1), ("1600000 100000", 8)):
        monkeypatch.setattr(Path, "read_text", lambda *_, quota=quota, **__: quota)
        assert usable_cores() == cores

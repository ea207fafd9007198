"""One line for the whole: on a terminal and in Jupyter as a bar, elsewhere every 30 seconds, and nowhere when quiet."""

from __future__ import annotations

import sys
import threading
import time
import types

import pytest

from slr_probe.progress import Cost, course, progress_bar, step, told
from slr_probe.progress.bar import Ticks
from slr_probe.progress.line import visible


class ZMQInteractiveShell:
    """Named as the shell of a Jupyter kernel."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that courses see."""
    now = [0.0]
    module = sys.modules["slr_probe.progress.course"]
    monkeypatch.setattr(module, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    return now


@pytest.mark.parametrize(("shell", "shown"), [(None, False), (object(), False), (ZMQInteractiveShell(), True)])
def test_a_bar_shows_in_a_kernel_and_not_where_its_packages_are_imported(
    monkeypatch: pytest.MonkeyPatch, shell: object, shown: bool
) -> None:
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: shell  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert visible(None) is shown
    assert visible(not shown) is not shown


def test_without_a_terminal_stage_share_and_time_left_are_told_again_and_again(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setattr("slr_probe.progress.line.EVERY", 0.02)
    with course("rank", {"ranges": 3, "controls": 1}), step("ranges"):
        progress_bar(2, "sweep").update(1)
        time.sleep(0.1)
    time.sleep(0.05)  # its thread has ended
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) >= 2
    assert all(line.startswith("rank, ranges: sweep, 38%, about ") for line in lines)
    time.sleep(0.05)
    assert capfd.readouterr().err == ""


def test_a_bar_by_itself_is_told_as_well_and_quiet_is_quiet(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setattr("slr_probe.progress.line.EVERY", 0.02)
    with progress_bar(4, "restoring") as steps:
        steps.update(3)
        time.sleep(0.06)
    assert "restoring, 75%" in capfd.readouterr().err
    before = threading.active_count()
    with progress_bar(4, "restoring", show=False), course("rank", {"ranges": 1}, show=False):
        assert threading.active_count() == before
    with progress_bar(4, "restoring", show=True) as bar:
        assert not isinstance(bar, Ticks)  # of tqdm, with its units


def test_a_function_is_told_while_it_still_loads_and_as_its_progress_says(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setattr("slr_probe.progress.line.EVERY", 0.02)

    @told("lens")
    def read(*, progress: bool | None = None) -> int:
        time.sleep(0.06)
        with progress_bar(4, "lens", show=progress) as bar:
            bar.update(1)
            time.sleep(0.06)
        return 3

    assert read() == 3
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == "lens, 0%"
    assert lines[-1].startswith("lens, 25%, about ")
    assert read(progress=False) == 3
    assert capfd.readouterr().err == ""


def test_shares_are_of_the_time_that_was_expected() -> None:
    with course("all", {"one": 30, "two": 10}, show=False) as whole:
        with step("one"):
            with course("inside", {"first": 1, "second": 1}, show=False):
                with step("first"):
                    pass
                assert whole.share == pytest.approx(0.75 * 0.5)
                with step("second"), progress_bar(10, "sweep", show=False) as bar:
                    bar.update(5)
                    assert whole.share == pytest.approx(0.75 * 0.75)
                    assert whole.label == "one: second: sweep"
        assert whole.share == pytest.approx(0.75)
        with step("unforeseen"), progress_bar(2, "x", show=False) as bar:
            bar.update(1)
        assert whole.share == pytest.approx(0.75)


def test_time_left_follows_the_pace_and_begins_with_what_was_expected(clock: list[float]) -> None:
    with course("all", {"one": 60, "two": 40}, seconds=100, show=False) as whole:
        assert whole.left == pytest.approx(100)
        with step("one"):
            clock[0] = 120  # twice as long as expected
        # 120 s for a share of 0.6, and 10 s that count for 0.1: 130 / 0.7 a whole
        assert whole.left == pytest.approx(130 / 0.7 * 0.4)


def test_what_an_earlier_call_did_says_nothing_of_the_pace(clock: list[float]) -> None:
    with course("all", {"one": 1}, show=False) as whole, step("one"), progress_bar(10, "x", show=False, done=5) as bar:
        assert whole.left is None
        clock[0] = 8
        bar.update(4)
        assert whole.share == pytest.approx(0.9)
        assert whole.left == pytest.approx(8 / 0.4 * 0.1)


def test_a_cost_is_the_sum_of_its_parts_and_says_when_it_is_long() -> None:
    assert Cost({"a": 700.0, "b": 600.0}).seconds == 1300
    assert Cost({"a": 700.0, "b": 600.0}).long
    assert not Cost({"a": 1100.0}).long
    assert "a judge" in str(Cost({"a": 1.0}, unknown=("a judge",)))

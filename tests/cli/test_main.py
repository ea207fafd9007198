"""What `main` makes of errors, and of text that a terminal would obey."""

from __future__ import annotations

import io
import sys
import warnings

import pytest

from slr_probe import cli
from slr_probe.errors import ResultError


@pytest.fixture
def ends(monkeypatch, capsys):
    """Exit code, output and errors of `main` with a program that does what it is told."""

    def ends(act):
        monkeypatch.setattr(cli, "program", lambda: lambda **_: act())
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code, *capsys.readouterr()

    return ends


def fail(error):
    def act():
        raise error

    return act


def test_bad_input_is_one_line(ends):
    code, _, err = ends(fail(ResultError("no\nsuch \x1b[2Jfile \ud800")))
    assert (code, err) == (2, "error: no such \\x1b[2Jfile \\ud800\n")


@pytest.mark.parametrize("error", [ValueError("x\ny"), MemoryError(), RecursionError("deep"), BaseException("panic")])
def test_what_was_not_foreseen_is_one_line_and_a_code_of_its_own(ends, error, monkeypatch):
    monkeypatch.delenv("SLR_PROBE_TRACEBACK", raising=False)
    code, _, err = ends(fail(error))
    assert code == 3
    assert type(error).__name__ in err
    assert err.count("\n") == 1


def test_the_traceback_is_there_for_those_who_ask(monkeypatch):
    monkeypatch.setenv("SLR_PROBE_TRACEBACK", "1")
    monkeypatch.setattr(cli, "program", lambda: lambda **_: fail(ValueError("x"))())
    with pytest.raises(ValueError, match="x"):
        cli.main()


def test_escape_sequences_reach_neither_stream(ends):
    def act():
        print("a\x1b]0;title\x07b\x9b31m\u202e")
        print("c\x1b[1A\rd", file=sys.stderr)
        raise SystemExit(0)

    code, out, err = ends(act)
    assert code == 0
    assert out == "a\\x1b]0;title\\x07b\\x9b31m\\u202e\n"
    assert err == "c\\x1b[1A\rd\n"


def test_streams_are_as_before_afterwards(ends):
    before = sys.stdout, sys.stderr
    ends(fail(SystemExit(0)))
    assert (sys.stdout, sys.stderr) == before


def test_a_terminal_that_is_not_utf_8_takes_every_text(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    monkeypatch.setattr(cli, "program", lambda: lambda **_: print("naïve \ud800", flush=True))
    cli.main()
    assert raw.getvalue() == b"na\\xefve \\ud800\n"


def test_a_warning_is_one_line_without_a_place(ends):
    before = warnings.showwarning

    def warn():
        warnings.warn("two\nlines", stacklevel=1)
        raise SystemExit(0)

    _, _, err = ends(warn)
    assert err == "warning: two lines\n"
    assert warnings.showwarning is before

"""`-q` on every verb: what succeeds writes nothing to standard error, however long it takes."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slr_probe import restore
from slr_probe.cli.app import VERBS
from slr_probe.cli.quiet import hushed
from slr_probe.progress import line, progress_bar
from slr_probe.sharing import save_patch
from tests.cli.test_bad_input import write_files

SHORT = ["--samples", 2, "--max-tokens", 4, "--device", "cpu"]
ARGUMENTS: dict[str, list[Any]] = {
    "run": ["PAIR", "--only", "inspect", "--out", "OUT"],
    "demo": ["--only", "inspect", "--out", "OUT"],
    "table": ["PAIRS", "--out", "OUT"],
    "inspect": ["PAIR"],
    "check-task": ["TEXTS", "--model", "TUNED"],
    "delta": ["PAIR"],
    "lens": ["PAIR", "--task", "TASK"],
    "patch": ["PAIR", "--task", "TASK"],
    "mask": ["PAIR", "--data", "TALKS", "--steps", 2],
    "rank": ["PAIR", "--task", "TASK", "--soups", 2, "--no-guards"],
    "restore": ["PAIR", "--layers", "1:2", "--out", "OUT"],
    "verify": ["HYBRID"],
    "reproduce": ["HYBRID", "--out", "OUT"],
    "chat": ["PAIR", "--layers", "1:2", "--message", "Hello", *SHORT],
    "validate": ["PAIR", "--layers", "1:2", "--tasks", "TEXTS", "--baselines", "early", *SHORT],
    "compare": ["TUNED", "HYBRID", "--tasks", "TEXTS", *SHORT],
    "evaluate": ["HYBRID", "--against", "TUNED", "--tasks", "none", "--out", "OUT"],
    "lineage": ["--stage", "base=BASE", "--stage", "tuned=TUNED", "--tasks", "TEXTS", *SHORT],
    "publish": ["HYBRID", "org/name", "--base-id", "org/base", "--tuned-id", "org/tuned"],
    "export": ["PAIR", "--layers", "1:2", "--out", "PATCH"],
    "apply": ["MADE", "TUNED", "--out", "OUT"],
}


@pytest.fixture
def quiet(run: Any, pair_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """`quiet("rank", "-q")`: exit code and errors of a verb that would say something every few milliseconds."""
    pair = pair_of("llama")
    files = {name: str(file) for name, file in write_files(tmp_path).items()}
    files |= {"BASE": str(pair.base), "TUNED": str(pair.tuned), "OUT": str(tmp_path / "out")}
    made = {"PATCH": "new.safetensors", "MADE": "made.safetensors", "HYBRID": "hybrid", "PAIRS": "pairs.toml"}
    files |= {name: str(tmp_path / file) for name, file in made.items()}
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setattr(line, "EVERY", 0.002)

    def call(verb: str, *more: str) -> tuple[int, str]:
        asked = ARGUMENTS[verb]
        if "HYBRID" in asked:
            restore(*pair.folders, "1:2", files["HYBRID"], progress=False)
        if "MADE" in asked:
            save_patch(*pair.folders, "1:2", files["MADE"])
        Path(files["PAIRS"]).write_text(f'[[pair]]\nname = "a"\nbase = "{pair.base}"\ntuned = "{pair.tuned}"\n')
        given = [part for one in asked for part in (pair.folders if one == "PAIR" else [one])]
        for name, file in files.items():
            given = [str(one).replace(f"={name}", f"={file}") if str(one) != name else file for one in given]
        code, _, err = run(verb, *given, *more)
        return code, err

    return call


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    """lm-eval and the hub, which are not here, and `run` for a table, which is slow; they warn and log."""

    def stand_in(*_: Any, **__: Any) -> Any:
        warnings.warn("slow", stacklevel=2)
        logging.getLogger("lm_eval").warning("slow")
        with progress_bar(2, "lm-eval") as bar:
            bar.update()
        return type("Found", (), {"to_dict": dict, "rows": [{"depth": 4}]})()

    for place in ("comparison.evaluate", "comparison.comparison_folder", "sharing.publish", "study.many.run_table"):
        monkeypatch.setattr(f"slr_probe.{place}", stand_in)


def test_every_verb_is_here() -> None:
    assert tuple(ARGUMENTS) == VERBS


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("verb", VERBS)
def test_quiet_is_quiet(quiet: Any, verb: str) -> None:
    assert quiet(verb, "-q") == (0, "")


@pytest.mark.parametrize("verb", ["rank", "lineage", "delta"])
def test_without_it_there_is_something_to_read(quiet: Any, verb: str) -> None:
    code, err = quiet(verb)
    assert code == 0
    assert err


def test_errors_are_told_all_the_same(run: Any, tmp_path: Path) -> None:
    code, _, err = run("verify", tmp_path, "--quiet")
    assert code == 2
    assert err.startswith("error: ")


def test_hushed_ends(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    log = logging.getLogger("another")
    handler = logging.StreamHandler(sys.stderr)
    log.addHandler(handler)
    with hushed(), warnings.catch_warnings(record=True) as heard:
        warnings.warn("slow", stacklevel=1)
        log.warning("slow")
        os.system('test -n "$TQDM_DISABLE" || echo loud >&2')
    assert heard == []
    assert capfd.readouterr().err == ""
    log.warning("heard")
    log.removeHandler(handler)
    assert capfd.readouterr().err == "heard\n"
    assert "TQDM_DISABLE" not in os.environ

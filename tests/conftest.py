"""Fixtures: tiny pairs and tokenizers, made once a session."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of processes that tests start as well: all cores have a worker

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.utils import logging

from slr_probe.cli import main
from tests.tiny import FAMILIES, Pair, write_checkpoint
from tests.tiny_tokenizer import make_tokenizer

torch.set_num_threads(1)  # tiny matrices: a second thread only waits
logging.disable_progress_bar()
logging.set_verbosity_error()

# A file runs in one worker; the longest begin first, so that the workers end together.
_LONGEST = (
    "rank/test_organism.py",
    "study/test_reliability.py",
    "docs/test_snippets.py",
    "analyses/test_notebooks.py",
    "study/test_run.py",
    "executor/test_cluster.py",
    "analyses/test_scripts.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files of `_LONGEST` in front, in that order."""
    places = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: places.get("/".join(item.path.parts[-2:]), len(places)))


@pytest.fixture(scope="session")
def pair_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Pair]:
    """`pair_of("llama")`: a read-only pair of that family, shared by the whole session."""
    root = tmp_path_factory.mktemp("pairs")
    made: dict[str, Pair] = {}

    def make(family: str) -> Pair:
        if family not in made:
            base = write_checkpoint(root / family / "base", family, seed=1)
            tuned = write_checkpoint(root / family / "tuned", family, seed=2)
            make_tokenizer(template=None).save_pretrained(base)
            make_tokenizer().save_pretrained(tuned)
            made[family] = Pair(family, base, tuned)
        return made[family]

    return make


@pytest.fixture
def own_pair(pair_of: Callable[[str], Pair], tmp_path: Path) -> Callable[..., Pair]:
    """`own_pair("llama")`: a copy of a pair that the test may damage."""

    def copy(family: str = "llama") -> Pair:
        shared = pair_of(family)
        folders = {side: tmp_path / side for side in ("base", "tuned")}
        for side, folder in folders.items():
            shutil.copytree(getattr(shared, side), folder)
        return Pair(family, folders["base"], folders["tuned"])

    return copy


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`run("rank", BASE, TUNED)`: the command line in this process; its exit code, output and errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["slr-probe", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            main()
        return int(done.value.code or 0), *capsys.readouterr()

    return call


@pytest.fixture(params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> Any:
    """Every architecture in turn."""
    return request.param

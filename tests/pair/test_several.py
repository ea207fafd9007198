"""A pair spread over two stand-in devices gives the numbers of one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from slr_probe import ModelPair
from slr_probe.errors import CheckpointError
from slr_probe.pair import several


def test_probes_of_a_pair_on_two_devices(pair_of):
    command = [sys.executable, "-m", "tests.pair.standin", *map(str, pair_of("gemma3_text").folders)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("devices") == ["stand:0", "stand:1"]
    assert "give stream=True" in found.pop("sweep")
    assert "text is written on one" in found.pop("text")
    assert set(found) == {"lens", "patch", "everywhere", "record"}
    assert all(gap < 1e-5 for gap in found.values()), found


def test_two_models_that_do_not_fit_are_refused(pair_of, monkeypatch):
    monkeypatch.setattr(several, "free_memory", lambda: {0: 1000, 1: 1000})
    pair = ModelPair.load(*pair_of("llama").folders, device="cpu")
    with pytest.raises(CheckpointError, match=r"do not fit into 2 GPUs.*stream them"):
        several.place(pair.tuned)


def test_base_and_tuned_lie_alike(pair_of, monkeypatch):
    placed = []
    monkeypatch.setattr("slr_probe.pair.pair.device_count", lambda: 2)
    monkeypatch.setattr(several, "free_memory", lambda: {0: 1 << 30, 1: 1 << 30})
    monkeypatch.setattr("slr_probe.pair.pair.spread", lambda model, places: placed.append(dict(places)))
    pair = ModelPair.load(*pair_of("llama").folders, device="auto")
    assert pair.base.config is not pair.tuned.config
    assert placed[0] == placed[1]
    assert len(set(placed[0].values())) == 2
    ModelPair.load(*pair_of("llama").folders, device="cpu").base  # noqa: B018 (loads it)
    assert len(placed) == 2


def test_auto_on_a_machine_with_one_device_is_the_default(pair_of):
    pair = ModelPair.load(*pair_of("llama").folders, device="auto")
    assert not several.is_spread(pair.tuned)
    assert pair.device == ModelPair.load(*pair_of("llama").folders).device

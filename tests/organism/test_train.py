"""The training script runs end to end, and is not installed with the package."""

import json
import runpy
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from organism import train
from organism.settings import Settings, quick
from slr_probe.organism import BAND, LOCAL, PLANTED, STAGES
from slr_probe.organism.difference import read_difference


def test_quick_run(tmp_path):
    settings = quick(Settings())
    record = train.train(settings, tmp_path, planted=PLANTED[:1])
    assert json.loads((tmp_path / "training.json").read_text())["losses"] == record["losses"]
    for stage in (*STAGES, LOCAL):
        AutoModelForCausalLM.from_pretrained(tmp_path / stage)
    weights = {name: load_file(tmp_path / name / "model.safetensors") for name in ("base", "sft", "local-sft", "local")}
    planted = read_difference(tmp_path / "planted" / "1-3.npz", weights["base"])
    assert {name.split(".")[2] for name in planted} == {"1", "2"}
    for name in ("sft", "local"):  # what the package keeps is what was saved
        kept = read_difference(tmp_path / f"{name}.npz", weights["base"])
        assert all(torch.equal(kept[key], tensor) for key, tensor in weights[name].items())
    inside = tuple(f"model.layers.{block}." for block in range(*BAND))
    changed = {name for name, tensor in weights["local"].items() if not torch.equal(tensor, weights["local-sft"][name])}
    assert changed
    assert all(name.startswith(inside) for name in changed)


ROOT = Path(__file__).parents[2]


@pytest.mark.filterwarnings("ignore::RuntimeWarning:runpy")
@pytest.mark.parametrize("tool", ["train", "measure"])
def test_the_tools_run_from_the_root_of_the_repository(tool, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", [f"organism.{tool}", "--help"])
    with pytest.raises(SystemExit) as done:
        runpy.run_module(f"organism.{tool}", run_name="__main__", alter_sys=True)
    assert done.value.code == 0
    assert "usage: " in capsys.readouterr().out


def test_the_tool_is_checked_but_not_installed():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert settings["setuptools"]["packages"]["find"]["include"] == ["slr_probe*"]
    assert "organism" in settings["mypy"]["packages"]

"""The training script runs end to end, and is not installed with the package."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from safetensors import safe_open
from transformers import AutoModelForCausalLM

from organism import train
from slr_probe.organism import PLANTED, STAGES


def test_quick_run(tmp_path):
    settings = train.quick(train.Settings())
    record = train.train(settings, tmp_path, planted=PLANTED[:1])
    assert json.loads((tmp_path / "training.json").read_text())["losses"] == record["losses"]
    for stage in STAGES:
        AutoModelForCausalLM.from_pretrained(tmp_path / stage)
    with safe_open(tmp_path / "planted" / "1-3.safetensors", "pt") as file:
        assert file.metadata()["range"] == "1:3"
        assert {name.split(".")[2] for name in file.keys()} == {"1", "2"}


ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("tool", ["train", "measure"])
def test_the_tools_run_from_the_root_of_the_repository(tool):
    said = subprocess.run(
        [sys.executable, "-m", f"organism.{tool}", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert said.returncode == 0, said.stderr


def test_the_tool_is_checked_but_not_installed():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert settings["setuptools"]["packages"]["find"]["include"] == ["slr_probe*"]
    assert "organism" in settings["mypy"]["packages"]

"""The training script runs end to end."""

import json

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

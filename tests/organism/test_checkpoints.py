"""The shipped checkpoints load, and planted variants equal base outside their range."""

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from slr_probe import organism
from slr_probe.organism import materialise


@pytest.mark.parametrize("stage", organism.STAGES)
def test_checkpoint_loads(stage):
    model = AutoModelForCausalLM.from_pretrained(organism.path(stage))
    assert model.dtype == torch.bfloat16
    assert model.config.num_hidden_layers == organism.DEPTH == len(model.model.layers)
    assert 1e6 <= sum(weight.numel() for weight in model.parameters()) <= 1.5e6


def test_stages_differ_in_every_block():
    weights = {stage: load_file(organism.path(stage) / "model.safetensors") for stage in organism.STAGES}
    for earlier, later in (("base", "sft"), ("sft", "dpo")):
        for index in range(organism.DEPTH):
            name = f"model.layers.{index}.mlp.down_proj.weight"
            assert not torch.equal(weights[earlier][name], weights[later][name])


@pytest.mark.parametrize("span", organism.PLANTED)
def test_planted_equals_base_outside_its_range(span, tmp_path):
    folder = organism.planted(span, tmp_path / "variant")
    base, variant = (load_file(path / "model.safetensors") for path in (organism.path("base"), folder))
    assert base.keys() == variant.keys()
    inside = tuple(f"model.layers.{index}." for index in range(*span))
    for name, tensor in base.items():
        if name.startswith(inside):
            assert "norm" in name or not torch.equal(tensor, variant[name])
        else:
            assert torch.equal(tensor.view(torch.int16), variant[name].view(torch.int16)), name
    AutoModelForCausalLM.from_pretrained(folder)


def test_planted_is_cached_and_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    span = organism.PLANTED[0]
    first = organism.planted(span)
    assert tmp_path in first.parents
    assert organism.planted(f"{span[0]}:{span[1]}") == first
    assert [path.name for path in first.parent.iterdir()] == [first.name]


def test_planted_failure_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("disk full")

    monkeypatch.setattr(materialise, "save_file", fail)
    with pytest.raises(RuntimeError):
        organism.planted(organism.PLANTED[0], tmp_path / "variant")
    assert list(tmp_path.iterdir()) == []


def test_planted_does_not_overwrite(tmp_path):
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(ValueError, match="not empty"):
        organism.planted(organism.PLANTED[0], tmp_path)
    assert (tmp_path / "mine").read_text() == "keep"


@pytest.mark.parametrize("span", [(0, 10), "a:b", "3", None])
def test_unknown_range_says_which_exist(span):
    with pytest.raises(ValueError, match="expected one of 1:3"):
        organism.planted(span)


def test_unknown_stage_says_which_exist():
    with pytest.raises(ValueError, match="expected one of base, sft, dpo"):
        organism.path("rlhf")

"""The shipped checkpoints load, and variants equal what they were trained from outside their blocks."""

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from slr_probe import organism
from slr_probe.organism import materialise


@pytest.mark.parametrize("stage", [*organism.STAGES, organism.LOCAL])
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


def test_what_is_kept_as_a_difference_is_cached_and_stops_at_the_end_of_a_turn(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = organism.path("sft")
    assert tmp_path in folder.parents
    assert organism.path("sft") == folder
    ends = json.loads((folder / "generation_config.json").read_text())["eos_token_id"]
    assert ends == json.loads((organism.path("dpo") / "generation_config.json").read_text())["eos_token_id"]


def test_local_is_changed_in_every_block_and_most_in_its_band():
    """Fine-tuning changed all blocks gently, preference training those of the band alone."""
    base, local = (load_file(organism.path(name) / "model.safetensors") for name in ("base", "local"))

    def change(block):
        name = f"model.layers.{block}.mlp.down_proj.weight"
        return float((local[name].float() - base[name].float()).norm() / base[name].float().norm())

    changes = [change(block) for block in range(organism.DEPTH)]
    band = range(*organism.BAND)
    assert min(changes) > 0
    assert min(changes[b] for b in band) > 2 * max(changes[b] for b in range(organism.DEPTH) if b not in band)


def test_the_package_data_are_no_larger_than_they_were():
    size = sum(file.stat().st_size for file in organism.checkpoints().rglob("*") if file.is_file())
    assert size <= 8_300_000


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
    with pytest.raises(ValueError, match="expected one of base, sft, dpo, local"):
        organism.path("rlhf")

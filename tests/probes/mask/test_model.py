"""The masked model is base at 0 and tuned at 1, and its gradients are right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from slr_probe import ModelPair, Recipe, restored
from slr_probe.block_weight import BlockWeight
from slr_probe.errors import MaskError
from slr_probe.probes.mask.examples import Example
from slr_probe.probes.mask.model import MaskedModel, autograd_gradient, token_losses
from slr_probe.probes.mask.weights import Unit, read_weights
from tests.tiny import DEPTH, logits, make_model
from tests.tiny_tokenizer import make_tokenizer


def examples(rows: int = 3) -> list[Example]:
    """Conversations of different lengths: rows are padded, and replies lie at different places."""
    rng = np.random.default_rng(5)
    found = []
    for row in range(rows):
        size = 6 + 2 * row
        ids = tuple(rng.integers(10, 120, size).tolist())
        found.append(Example(ids, tuple(i > 2 + row for i in range(size))))
    return found


def load_pair(folders: Any, **options: Any) -> ModelPair:
    return ModelPair.load(*folders, device="cpu", **{"dtype": "float32", **options})


@pytest.mark.parametrize("granularity", ["matrix", "block"])
def test_ends_and_the_way_between(pair_of: Any, family: str, granularity: Any) -> None:
    pair = load_pair(pair_of(family).folders)
    weights = read_weights(pair, granularity)
    model, ones = MaskedModel(pair, weights), np.ones(len(weights.units))
    before = {name: tensor.clone() for name, tensor in pair.tuned.state_dict().items()}
    tuned, found = logits(pair.tuned), {}
    with model.installed():
        for gamma in (0.0, 0.25, 1.0):
            model.set_shares(weights.follows @ (gamma * ones))
            found[gamma] = logits(pair.tuned)
    torch.testing.assert_close(found[1.0], tuned, rtol=0, atol=1e-6)
    for gamma in (0.0, 0.25):  # against what restoration builds
        with restored(pair, Recipe((BlockWeight(gamma),) * DEPTH)):
            want = logits(pair.tuned)
        torch.testing.assert_close(found[gamma], want, rtol=0, atol=1e-6 if gamma == 0 else 1e-4)
        assert (want - tuned).abs().max() > 0.1
    torch.testing.assert_close(logits(pair.tuned), tuned, rtol=0, atol=0)
    for name, tensor in pair.tuned.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all(parameter.requires_grad and parameter.grad is None for parameter in pair.tuned.parameters())
    assert not any("forward" in vars(module) for module in pair.tuned.modules())


@pytest.mark.parametrize("granularity", ["matrix", "block"])
def test_both_gradients_agree(pair_of: Any, family: str, granularity: Any) -> None:
    pair = load_pair(pair_of(family).folders)
    weights, batch = read_weights(pair, granularity), examples()
    gamma = np.random.default_rng(1).uniform(0.1, 0.9, len(weights.units))
    loss, want = autograd_gradient(pair, weights, gamma, batch)
    for checkpointing in (False, True):
        model = MaskedModel(pair, weights, checkpointing=checkpointing)
        with model.installed(gradients=True):
            ours, found = model.gradient(gamma, batch)
            again = model.gradient(gamma, batch)[1]
        assert ours == pytest.approx(loss, rel=1e-5)
        np.testing.assert_allclose(found, want, rtol=1e-3, atol=2e-5 * np.abs(want).max())
        np.testing.assert_array_equal(found, again)  # nothing of a step is left over
    assert np.abs(want).max() > 1e-2


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen2", "phi3"])
def test_gradient_against_finite_differences(pair_of: Any, name: str) -> None:
    pair = load_pair(pair_of(name).folders, dtype="float64")
    weights, batch = read_weights(pair, "matrix"), examples()
    model = MaskedModel(pair, weights)
    rng = np.random.default_rng(2)
    gamma, step = rng.uniform(0.1, 0.9, len(weights.units)), 1e-3
    with model.installed(gradients=True):
        found = model.gradient(gamma, batch)[1]
        for _ in range(4):
            way = rng.choice([-1.0, 1.0], len(gamma))
            up, down = (model.gradient(gamma + sign * step * way, batch)[0] for sign in (1, -1))
            assert found @ way == pytest.approx((up - down) / (2 * step), rel=2e-3, abs=2e-3)


def test_loss_against_one_row_at_a_time(pair_of: Any) -> None:
    model, rows = load_pair(pair_of("llama").folders).tuned, examples()
    losses, mask = token_losses(model, rows)
    for row, example in enumerate(rows):
        ids = torch.tensor([example.ids])
        logs = model(input_ids=ids).logits[0].log_softmax(-1).detach()
        want = [-float(logs[i - 1, t]) for i, t in enumerate(example.ids) if example.replies[i]]
        assert float(losses[row].detach().sum()) == pytest.approx(sum(want), rel=1e-5)
        assert int(mask[row].sum()) == len(want)


def test_units_and_what_follows_them(pair_of: Any) -> None:
    pair = load_pair(pair_of("llama").folders)
    weights = read_weights(pair, "matrix")
    assert weights.units[:7] == tuple(Unit(0, c) for c in ("q", "k", "v", "o", "gate", "up", "down"))
    assert len(weights.units) == 7 * DEPTH
    assert weights.parameters[0] == ("model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.q_proj.bias")
    rows = {weight.name: row for weight, row in zip(weights.changed, weights.follows, strict=True)}
    np.testing.assert_allclose(sum(rows.values()).sum(), len(rows))
    np.testing.assert_array_equal(rows["model.layers.0.self_attn.q_proj.bias"], np.eye(len(weights.units))[0])
    norm = rows["model.layers.1.input_layernorm.weight"]  # the mean over its block
    np.testing.assert_allclose(norm[7:14], 1 / 7)
    assert norm.sum() == pytest.approx(1)
    assert all(weight.address.block is not None for weight in weights.changed)


def test_base_is_streamed_unless_it_is_loaded(pair_of: Any) -> None:
    pair = load_pair(pair_of("llama").folders)
    streamed = read_weights(pair, "block")
    assert "base" not in vars(pair)
    held = read_weights(pair, "block", stream=False)
    assert "base" in vars(pair)
    for one, other in zip(streamed.changed, held.changed, strict=True):
        assert torch.equal(one.base(), other.base()), one.name
    loaded = ModelPair.load(pair.base, pair.tuned, tokenizer=pair.tokenizer, device="cpu")
    with pytest.raises(MaskError, match="cannot be streamed"):
        read_weights(loaded, "block", stream=True)


def adapter_pair(tmp_path: Path) -> tuple[ModelPair, ModelPair]:
    """A LoRA adapter over a tiny model, as a pair and merged by PEFT."""
    from peft import LoraConfig, get_peft_model

    base = make_model("llama", 1)
    base.save_pretrained(tmp_path / "base")
    make_tokenizer().save_pretrained(tmp_path / "base")
    config = LoraConfig(r=3, lora_alpha=6, target_modules=["q_proj", "down_proj"], layers_to_transform=[0, 2, 3])
    model = get_peft_model(base, config)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    model.save_pretrained(tmp_path / "adapter")
    model.merge_and_unload().save_pretrained(tmp_path / "merged")
    pairs = [load_pair((tmp_path / "base", tmp_path / side)) for side in ("adapter", "merged")]
    return pairs[0], pairs[1]


def test_adapter_is_the_same_as_its_merged_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair, merged = adapter_pair(tmp_path)
    ids = pair.tuned, merged.tuned  # loading merges; from here on no delta may be formed
    assert torch.allclose(*(logits(model) for model in ids), atol=1e-5)
    monkeypatch.setattr("slr_probe.checkpoint.adapter.LowRank.delta", None)
    ours, theirs = (read_weights(p, "matrix") for p in (pair, merged))
    assert ours.units == theirs.units
    assert len(ours.changed) == len(theirs.changed) == 6
    np.testing.assert_array_equal(ours.moved, theirs.moved)
    assert ours.moved.sum() == 6
    gamma = np.random.default_rng(1).uniform(0.1, 0.9, len(ours.units))
    batch = examples()
    for checkpointing in (False, True):
        found = []
        for p, weights in ((pair, ours), (merged, theirs)):
            model = MaskedModel(p, weights, checkpointing=checkpointing)
            with model.installed(gradients=True):
                found.append(model.gradient(gamma, batch))
        assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
        np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-3, atol=1e-5)
    assert np.abs(found[0][1]).max() > 1e-3


def test_weights_come_back_after_an_error(pair_of: Any) -> None:
    pair = load_pair(pair_of("llama").folders)
    weights = read_weights(pair, "matrix")
    model, want = MaskedModel(pair, weights), logits(pair.tuned)
    with pytest.raises(IndexError), model.installed(gradients=True):
        model.gradient(np.zeros(len(weights.units)), [Example((5, 10_000, 7), (False, True, True))])
    assert torch.equal(logits(pair.tuned), want)
    assert all(parameter.requires_grad for parameter in pair.tuned.parameters())


def test_one_gradient_and_one_mixed_block_at_a_time(pair_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No gradient is left on a parameter, and autograd keeps no mixed tensor alive between the two passes."""
    import gc

    from torch.multiprocessing.reductions import StorageWeakRef

    pair = load_pair(pair_of("llama").folders)
    weights = read_weights(pair, "matrix")
    model, made = MaskedModel(pair, weights), []
    mix = model._mix

    def watched(i: int) -> torch.Tensor:
        mixed = mix(i)
        made.append(StorageWeakRef(mixed.untyped_storage()))
        return mixed

    monkeypatch.setattr(model, "_mix", watched)
    seen = []
    with model.installed(gradients=True):
        model.set_shares(np.full(len(weights.changed), 0.5), gradients=True)
        losses, _ = token_losses(pair.tuned, examples())
        gc.collect()
        seen.append(sum(not ref.expired() for ref in made))
        losses.sum().backward()
        assert all(parameter.grad is None for parameter in pair.tuned.parameters())
    assert len(made) > len(weights.changed)  # made again for the backward pass
    assert seen == [0]

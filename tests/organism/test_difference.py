"""Tensors kept as differences come back bit for bit."""

import numpy as np
import pytest
import torch

from slr_probe.organism.difference import read_difference, write_difference


def numbers(seed, *shape):
    """Every kind of bits, NaN and infinity included."""
    bits = np.random.default_rng(seed).integers(-(2**15), 2**15, size=shape, dtype=np.int16)
    return torch.from_numpy(bits).view(torch.bfloat16)


def test_any_bits_come_back(tmp_path):
    base = {"a": numbers(0, 7, 5), "b": numbers(1, 3), "c": numbers(2, 2, 2)}
    changed = {"c": numbers(3, 2, 2), "a": numbers(4, 7, 5)}
    write_difference(tmp_path / "x.npz", base, changed)
    found = read_difference(tmp_path / "x.npz", base)
    assert found.keys() == changed.keys()
    for name, tensor in changed.items():
        assert torch.equal(found[name].view(torch.int16), tensor.view(torch.int16))
        assert found[name].shape == tensor.shape


def test_small_changes_take_less_room(tmp_path):
    base = {"a": torch.randn(300, 300).bfloat16()}
    near = {"a": (base["a"].float() * 1.01).bfloat16()}
    write_difference(tmp_path / "x.npz", base, near)
    assert (tmp_path / "x.npz").stat().st_size < 0.3 * 2 * base["a"].numel()


@pytest.mark.parametrize(
    "wrong", [{"b": torch.zeros(2).bfloat16()}, {"a": torch.zeros(3).bfloat16()}, {"a": torch.zeros(2)}]
)
def test_a_tensor_without_counterpart_is_refused(wrong, tmp_path):
    with pytest.raises(ValueError, match="must be a bfloat16 tensor of the shape"):
        write_difference(tmp_path / "x.npz", {"a": torch.zeros(2).bfloat16()}, wrong)

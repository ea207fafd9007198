"""Beside the tuned model and its activations, learning holds about one block."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.forks import forks

HEADS = {"num_attention_heads": 4, "num_key_value_heads": 4}
SHAPE = {"hidden_size": 256, "intermediate_size": 5120, "num_hidden_layers": 10, "vocab_size": 64, **HEADS}
IMPORTS = """
import sys
import numpy as np
import torch
torch.set_num_threads(1)
from slr_probe import ModelPair
from slr_probe.probes.mask.examples import Example
from slr_probe.probes.mask.model import MaskedModel, autograd_gradient, mean_loss
from slr_probe.probes.mask.weights import read_weights
from transformers import LlamaConfig, LlamaForCausalLM
"""
BODY = """
def peak():
    return next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmHWM"))

base, tuned, way = sys.argv[1:]
pair = ModelPair.load(base, tuned, device="cpu")
batch = [Example(tuple(range(1, 9)), (False,) * 4 + (True,) * 4)]
# code that is loaded by a first backward pass does not count
small = LlamaForCausalLM(LlamaConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                                     num_key_value_heads=2, vocab_size=64))
mean_loss(small, batch).backward()
pair.tuned
before = peak()
weights = read_weights(pair, "matrix")
gamma = np.full(len(weights.units), 0.5)
if way == "autograd":
    autograd_gradient(pair, weights, gamma, batch)
else:
    model = MaskedModel(pair, weights, checkpointing=way == "checkpointing")
    with model.installed(gradients=True):
        model.gradient(gamma, batch)
        model.gradient(gamma, batch)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")
def test_about_one_block(tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    for seed, side in enumerate(("base", "tuned")):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(LlamaConfig(**SHAPE))
        model.save_pretrained(tmp_path / side)
    block = sum(p.nbytes for p in model.model.layers[0].parameters())
    used = {}
    with forks(IMPORTS, BODY, MALLOC_ARENA_MAX="1", MALLOC_MMAP_THRESHOLD_="65536") as program:
        for way in ("plain", "checkpointing", "autograd"):
            used[way] = int(program.run(tmp_path / "base", tmp_path / "tuned", way)) / block
    # One mixed block, or a matrix with its gradient, base and delta; activations of eight tokens are small. Holding
    # three models would take twenty blocks.
    assert used["plain"] < 2.5, used
    assert used["checkpointing"] < 2.5, used
    assert used["autograd"] > 8, used

"""Beside the tuned model and its activations, learning holds about one block."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[3]
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 4}
SHAPE = {"hidden_size": 256, "intermediate_size": 5120, "num_hidden_layers": 10, "vocab_size": 64, **HEADS}
SCRIPT = """
import resource, sys
import numpy as np
import torch
torch.set_num_threads(1)
from slr_probe import ModelPair
from slr_probe.probes.mask.examples import Example
from slr_probe.probes.mask.model import MaskedModel, autograd_gradient, mean_loss
from slr_probe.probes.mask.weights import read_weights

def peak():
    return next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmHWM"))

base, tuned, way = sys.argv[1:]
pair = ModelPair.load(base, tuned, device="cpu")
batch = [Example(tuple(range(1, 9)), (False,) * 4 + (True,) * 4)]
from transformers import LlamaConfig, LlamaForCausalLM  # code that is loaded by a first backward pass does not count
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
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
    used = {}
    for way in ("plain", "checkpointing", "autograd"):
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / "base"), str(tmp_path / "tuned"), way]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        used[way] = int(done.stdout) / block
    # One mixed block, or a matrix with its gradient, base and delta; activations of eight tokens are small. Holding
    # three models would take twenty blocks.
    assert used["plain"] < 2.5, used
    assert used["checkpointing"] < 2.5, used
    assert used["autograd"] > 8, used

"""On-disk work holds a few pieces of a tensor at a time, whatever the size of the tensors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LARGE = 128 << 20
BOUND = 48 << 20
CONFIG = {"model_type": "llama", "num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 2}
CONFIG |= {"intermediate_size": LARGE // 32, "tie_word_embeddings": True}
SCRIPT = """
import resource, sys
from slr_probe import Recipe, restore, verify_hybrid
import slr_probe.restoration, slr_probe.restoration.stream
from transformers import AutoConfig, LlamaConfig  # what reads a config is no tensor
base, tuned, out, kind = sys.argv[1:]
if kind == "soup":
    import torch
    torch.set_num_threads(1)

def peak():
    try:  # of this program alone; ru_maxrss would begin with that of the parent
        return next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmHWM"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << (0 if sys.platform == "darwin" else 10)

before = peak()
assert verify_hybrid(restore(base, tuned, Recipe.soup(0.5, 1) if kind == "soup" else "0:1", out)).ok
print(peak() - before)
"""


def write_sparse(folder: Path) -> None:
    """A one-block checkpoint with a tensor of 128 MiB, all of it a hole in the file."""
    folder.mkdir()
    entries, position = {}, 0
    shapes = {
        "model.embed_tokens.weight": (16, 8),
        "model.layers.0.mlp.up_proj.weight": (LARGE // 32, 8),
        "model.norm.weight": (8,),
    }
    for name, shape in shapes.items():
        size = 4 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        entries[name] = {"dtype": "F32", "shape": shape, "data_offsets": (position, position + size)}
        position += size
    header = json.dumps(entries).encode()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + position)
    (folder / "config.json").write_text(json.dumps(CONFIG))


@pytest.mark.parametrize("kind", ["range", "soup"])
def test_a_tensor_is_never_held_as_a_whole(kind: str, tmp_path: Path) -> None:
    write_sparse(tmp_path / "base")
    write_sparse(tmp_path / "tuned")
    command = [sys.executable, "-c", SCRIPT, *(str(tmp_path / name) for name in ("base", "tuned", "out")), kind]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    used = int(done.stdout)
    (tmp_path / "out" / "model.safetensors").unlink()
    assert 0 <= used < BOUND, f"{used >> 20} MiB above the imports for a tensor of {LARGE >> 20} MiB"

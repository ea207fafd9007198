"""Streaming: a pair four times larger than the limit, under the limit, each file read once a chunk."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from slr_probe import ModelPair
from slr_probe.checkpoint import Checkpoint
from slr_probe.pair.load import is_finite
from slr_probe.sweep import sweep
from tests.forks import forks
from tests.sweep.naive import make_queries

_IMPORTS = """
import gc, re, sys, tempfile
from pathlib import Path
import torch
torch.set_num_threads(1)
from slr_probe import ModelPair, Recipe
from slr_probe.sweep import sweep
from tests.sweep.naive import make_queries, make_replies
from tests.sweep.test_memory import write

def warm():
    with tempfile.TemporaryDirectory() as folder:
        small = write(folder, hidden_size=32, intermediate_size=48, num_hidden_layers=2)
        sweep(ModelPair.load(small, small, device="cpu"), None, make_queries(), stream=True)

warm()  # imports everything
"""
_BODY = """
def read(name):
    return 1024 * int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

big, limit, recipe, dtype = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
warm()  # a fork maps code anew
gc.collect()
Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
before = read("VmRSS")
replies = make_replies() if sys.argv[5] == "replies" else None
asked = {"memory": limit, "dtype": dtype, "stream": True, "replies": replies}
result = sweep(ModelPair.load(big, big, device="cpu"), eval(recipe), make_queries(), **asked)
assert result.settings["streamed"] and result.settings["chunks"] == 1, result.settings
print(read("VmHWM") - before)
"""


def write(folder, dtype=torch.float32, **fields):
    config = AutoConfig.for_model("llama", num_attention_heads=4, **{"vocab_size": 128, **fields})
    AutoModelForCausalLM.from_config(config, dtype=dtype).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def peak():
    """`peak(big, limit, recipe, dtype)`: bytes that a sweep of `big` against itself adds to a fresh process."""
    with forks(_IMPORTS, _BODY, MALLOC_ARENA_MAX="1") as program:
        yield lambda *asked, beside="none": int(program.run(*asked, beside))


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A checkpoint that is a table of 150,000 tokens with two small blocks, and the table's bytes."""
    shape = {"vocab_size": 150_000, "hidden_size": 256, "intermediate_size": 256, "num_hidden_layers": 2}
    folder = write(tmp_path_factory.mktemp("wide"), torch.bfloat16, tie_word_embeddings=True, **shape)
    return folder, 2 * 150_000 * 256


def test_a_pair_four_times_the_limit_is_streamed_under_the_limit(tmp_path, peak):
    big = write(tmp_path / "big", hidden_size=384, intermediate_size=768, num_hidden_layers=10)
    limit = 2 * Checkpoint.open(big).nbytes // 4
    assert peak(big, limit, "'1:9'", "float32") < limit


@pytest.mark.parametrize(
    ("recipe", "dtype", "tables"),
    [
        ("'1:2'", "bfloat16", 1.5),
        ("[Recipe.base(2, blocks_only=False), Recipe.tuned(2)]", "bfloat16", 1.5),
        ("Recipe.soup(0.5, 2)", "bfloat16", 5),
        ("'1:2'", "float32", 5),
    ],
)
def test_a_large_vocabulary_keeps_the_limit(wide, peak, recipe, dtype, tables):
    """The table is most of the model: it is held once, and nothing of its size is made to check it."""
    big, table = wide
    limit = int(tables * table) + 5 * 10**7
    found = peak(big, limit, recipe, dtype)
    assert found < limit, (found / table, limit / table)


@pytest.mark.parametrize(("recipe", "tables"), [("'1:2'", 3), ("[Recipe.base(2, blocks_only=False), '1:2']", 4)])
def test_replies_beside_a_reference_keep_the_limit(wide, peak, recipe, tables):
    big, table = wide
    limit = int(tables * table) + 5 * 10**7
    found = peak(big, limit, recipe, "bfloat16", beside="replies")
    assert found < limit, (found / table, limit / table)


def test_numbers_are_checked_without_a_copy():
    """Against torch's own test, on every kind of value, where a plain sum overflows."""
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        large = torch.full((3, 1 << 19), torch.finfo(dtype).max, dtype=dtype)
        assert is_finite(large)
        for bad in (float("nan"), float("inf"), -float("inf")):
            large[2, -1] = bad
            assert not is_finite(large)
    assert is_finite(torch.tensor([1, 2]))


@pytest.mark.parametrize("memory", ["1GB", "several chunks"])
def test_each_tensor_of_a_block_is_read_once_a_chunk(pair_of, monkeypatch, memory):
    pair = ModelPair.load(*pair_of("llama").folders)
    if memory == "several chunks":
        memory = 120_000
    reads = []
    read = Checkpoint.read
    monkeypatch.setattr(Checkpoint, "read", lambda self, name: reads.append((self.path, name)) or read(self, name))
    result = sweep(pair, None, make_queries(), stream=True, memory=memory)
    assert (result.settings["chunks"] > 1) == (memory == 120_000)
    checked = 1  # the first block is read once more for the check before the sweep
    for side in (pair.base_side, pair.tuned_side):
        for name, address in side.addresses.items():
            if address.role == "block" and address.block >= checked:
                assert 0 < reads.count((side.path, name)) <= result.settings["chunks"]

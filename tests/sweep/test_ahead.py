"""Weights of the next block are read while one runs, where the memory limit leaves room for them."""

import threading

import numpy as np
import pytest
import torch

from slr_probe import ModelPair, Recipe
from slr_probe.checkpoint import Checkpoint
from slr_probe.errors import CheckpointError, SweepError
from slr_probe.sweep import sweep
from slr_probe.sweep.ahead import BlocksInTurn
from slr_probe.sweep.walk.execute import BlockRunner
from slr_probe.tasks.answers import Query
from tests.sweep.naive import make_queries
from tests.tiny import make_model, rewrite_tensor

DEPTH = 4


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("pair")
    for name, seed in (("base", 1), ("tuned", 2)):
        make_model("llama", seed, num_hidden_layers=DEPTH).save_pretrained(root / name)
    return root / "base", root / "tuned"


def run(folders, **options):
    pair = ModelPair.load(*folders, device="cpu", dtype="float32")
    return sweep(pair, None, make_queries(), stream=True, progress=False, **options)


def block_of(name):
    return int(name.split(".")[2]) if ".layers." in name else None


@pytest.fixture
def watched(monkeypatch):
    """Blocks whose tensors were read, in which thread, and an event for each block that was read ahead."""
    reads, begun = [], {block: threading.Event() for block in range(DEPTH)}
    read = Checkpoint.read

    def reading(self, name):
        block = block_of(name)
        reads.append((block, threading.current_thread() is threading.main_thread()))
        if block is not None and not reads[-1][1]:
            begun[block].set()
        return read(self, name)

    monkeypatch.setattr(Checkpoint, "read", reading)
    return reads, begun


def test_a_block_runs_while_the_next_is_read(folders, watched, monkeypatch):
    _, begun = watched
    met = []
    advance = BlockRunner.advance

    def advancing(self, block, *args):
        if self.ahead and block + 1 < DEPTH:
            met.append(begun[block + 1].wait(20))  # for ever, were it read after this block alone
        return advance(self, block, *args)

    monkeypatch.setattr(BlockRunner, "advance", advancing)
    assert run(folders).settings["read_ahead"]
    assert met
    assert all(met)


def test_each_tensor_of_a_block_is_read_once_a_walk(folders, watched):
    reads, _ = watched
    run(folders)
    ahead = [block for block, in_main in reads if not in_main]
    stored = [block_of(name) for folder in folders for name in Checkpoint.open(folder).tensors]
    assert sorted(ahead) == sorted(block for block in stored if block is not None)


def test_where_it_does_not_fit_nothing_is_read_ahead_and_the_numbers_are_the_same(folders, watched):
    reads, _ = watched
    wide = run(folders)
    with pytest.raises(SweepError) as refused:
        run(folders, memory=1)
    least = int(str(refused.value).rsplit("needs ", 1)[1].split(" ")[0].replace(",", ""))
    reads.clear()
    narrow = run(folders, memory=least)
    assert wide.settings["read_ahead"]
    assert not narrow.settings["read_ahead"]
    assert all(in_main for _, in_main in reads)
    np.testing.assert_allclose(narrow.answer_logprobs, wide.answer_logprobs, atol=1e-5)


def test_loaded_weights_are_not_read_ahead(folders):
    pair = ModelPair.load(*folders, device="cpu", dtype="float32")
    assert "read_ahead" not in sweep(pair, "1:2", make_queries(), progress=False).settings


def test_a_fault_in_the_thread_is_raised_in_the_sweep(tmp_path):
    for name, seed in (("base", 1), ("tuned", 2)):
        make_model("llama", seed, num_hidden_layers=DEPTH).save_pretrained(tmp_path / name)
    name = f"model.layers.{DEPTH - 1}.mlp.up_proj.weight"
    rewrite_tensor(tmp_path / "tuned", name, lambda tensor: tensor.fill_(torch.nan))
    before = threading.active_count()
    with pytest.raises(CheckpointError, match="NaN"):
        run((tmp_path / "base", tmp_path / "tuned"))
    assert threading.active_count() == before


def test_mixed_weights_are_those_of_a_loaded_pair(folders):
    pair = ModelPair.load(*folders, device="cpu", dtype="float32")
    recipes = [Recipe.tuned(DEPTH), Recipe.soup(0.3, DEPTH), Recipe.ramp(0.1, 0.8, DEPTH)]
    streamed = sweep(pair, recipes, make_queries(), stream=True, progress=False)
    loaded = sweep(pair, recipes, make_queries(), progress=False)
    np.testing.assert_array_equal(streamed.answer_logprobs, loaded.answer_logprobs)


class _Weights:
    """Blocks that count how many are held."""

    def __init__(self):
        self.held = self.most = 0

    def open_block(self, block):
        weights = self

        class Opened:
            def __init__(self):
                weights.held += 1
                weights.most = max(weights.most, weights.held)

            def __del__(self):
                weights.held -= 1

            def fetch(self, variants):
                return self

        return Opened()


@pytest.mark.parametrize("ahead", [True, False])
def test_no_more_than_two_blocks_are_held(ahead):
    weights = _Weights()
    with BlocksInTurn(weights, [()] * 20, ahead=ahead) as blocks:
        for number, opened in enumerate(blocks):  # noqa: B007
            pass
    del opened
    assert number == 19
    assert weights.most <= 3  # the one before goes as the loop takes the next
    assert weights.held == 0


def test_a_prompt_of_one_token_runs_beside_longer_ones(folders):
    queries = [Query((5,), ((2,), (3,))), Query((6, 7, 8), ((2,), (3,)))]
    pair = ModelPair.load(*folders, device="cpu", dtype="float32")
    streamed = sweep(pair, None, queries, stream=True, progress=False)
    assert streamed.settings["method"] == "wavefront"
    alone = [sweep(pair, None, [query], progress=False) for query in queries]
    for column, one in enumerate(alone):
        np.testing.assert_allclose(streamed.validity[:, column], one.validity[:, 0], atol=1e-6)
        np.testing.assert_allclose(streamed.diversity[:, column], one.diversity[:, 0], atol=1e-6)

"""Replies scored in the walk against every hybrid reading every reply by itself."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from slr_probe import LayerRange, ModelPair, Recipe
from slr_probe.errors import PromptError, SweepError, TaskError
from slr_probe.sweep import SweepResult, sweep
from slr_probe.sweep import measure as measure_module
from slr_probe.tasks.replies import Replies, Reply
from tests.sweep.naive import (
    all_kinds,
    assert_same,
    assert_same_replies,
    make_queries,
    make_replies,
    naive_logprobs,
    naive_replies,
)
from tests.sweep.test_equals_naive import NO_CACHE
from tests.sweep.test_fallback import make_pair

GRID = ((1.3, 0.0), (1.0, 0.05), (0.6, 0.2))


def test_replies_and_answers_in_one_walk_equal_each_hybrid_by_itself(pair_of, family):
    folders = pair_of(family).folders
    pair = ModelPair.load(*folders, dtype="float32")
    recipes, replies = all_kinds(pair.depth), make_replies()
    result = sweep(pair, recipes, make_queries(), replies=replies)
    assert result.settings["method"] == "wavefront"
    # Linear attention adds up in chunks of tokens, whose rounding depends on how long the row is.
    atol = 5e-5 if family in NO_CACHE else 1e-5
    assert_same(result.answer_logprobs, naive_logprobs(pair, recipes, make_queries()), atol)
    expected = naive_replies(pair, recipes, replies, Recipe.tuned(pair.depth))
    assert_same_replies(result.replies, expected, atol)
    streamed = sweep(ModelPair.load(*folders, dtype="float32"), recipes, replies=replies, stream=True)
    assert streamed.settings["streamed"]
    assert_same_replies(streamed.replies, expected, atol)


@pytest.mark.parametrize("reference", ["1:3", "base"])
def test_any_recipe_is_the_reference_and_any_setting_is_read_out_at_once(pair_of, reference):
    pair = ModelPair.load(*pair_of("gemma3_text").folders)
    against = Recipe.base(pair.depth, blocks_only=False) if reference == "base" else pair.recipe(reference)
    recipes, queries, replies = all_kinds(pair.depth), make_queries(), make_replies()
    result = sweep(pair, recipes, queries, replies=replies, reference=against, grid=GRID)
    once = sweep(pair, recipes, queries, replies=replies, reference=against)
    assert result.settings["block_evaluations"] == once.settings["block_evaluations"]
    for temperature, min_p in ((1.0, 0.0), *GRID):
        found = result.at(temperature, min_p)
        assert_same(found.answer_logprobs, naive_logprobs(pair, recipes, queries, temperature, min_p))
        assert_same_replies(found.replies, naive_replies(pair, recipes, replies, against, temperature, min_p))
    with pytest.raises(SweepError, match=r"1\.4 with min-p 0\.0 was not read out; known are \(1\.0, 0\.0\), \(1\.3"):
        result.at(1.4)


def test_the_reference_does_not_differ_from_itself(pair_of):
    pair = ModelPair.load(*pair_of("llama").folders)
    found = sweep(pair, ["1:3", Recipe.tuned(4)], replies=make_replies()).replies
    np.testing.assert_allclose(np.nan_to_num([found.kl_to[1], found.kl_from[1]]), 0, atol=1e-6)
    assert np.nanmin(found.kl_to[0]) > 1e-3


@pytest.mark.filterwarnings("ignore:hybrids are run one by one")
@pytest.mark.parametrize("kind", ["gemma4_text", "bloom"])
def test_models_that_are_run_one_by_one_give_the_same(kind):
    pair = make_pair(kind)
    recipes, replies = [Recipe.tuned(4), pair.recipe("1:3"), Recipe.soup(0.4, 4)], make_replies()
    result = sweep(pair, recipes, make_queries(), replies=replies, grid=GRID)
    assert result.settings["method"] == ("wavefront" if kind == "bloom" else "swap")
    for temperature, min_p in ((1.0, 0.0), *GRID):
        found = result.at(temperature, min_p)
        assert_same(found.answer_logprobs, naive_logprobs(pair, recipes, make_queries(), temperature, min_p))
        expected = naive_replies(pair, recipes, replies, Recipe.tuned(4), temperature, min_p)
        assert_same_replies(found.replies, expected)


@pytest.mark.parametrize("stream", [False, True])
def test_chunks_change_nothing(pair_of, stream):
    pair = ModelPair.load(*pair_of("gemma2").folders)
    recipes, queries, replies = all_kinds(pair.depth), make_queries(), make_replies()
    whole = sweep(pair, recipes, queries, replies=replies)
    with pytest.raises(SweepError, match="too little") as caught:
        sweep(pair, recipes, queries, replies=replies, stream=stream, memory=1)
    needed = int(re.search(r"needs ([\d,]+) bytes", str(caught.value))[1].replace(",", ""))
    chunks = []
    for limit in (needed, needed + 20_000, needed + 10_000_000):
        parts = sweep(pair, recipes, queries, replies=replies, stream=stream, memory=limit)
        chunks.append(parts.settings["chunks"])
        assert_same(parts.answer_logprobs, whole.answer_logprobs)
        np.testing.assert_allclose(parts.reply_scores, whole.reply_scores, rtol=0, atol=1e-5)
    assert chunks[0] > chunks[1] > chunks[2] == 1


_CHILD = """
import sys, time
import torch
torch.set_num_threads(1)
from slr_probe import ModelPair
from slr_probe.sweep import prepare, sweep
from slr_probe.sweep.store import ChunkStore
from tests.sweep.naive import all_kinds, make_queries, make_replies

prepare._KEPT_CPU = 1.0  # of this small a model, all would be one piece
append = ChunkStore.append
seen = []
def slowly(self, *args):
    append(self, *args)
    seen.append(args)
    if len(seen) == 3:
        print("saved", flush=True)
        time.sleep(60)
ChunkStore.append = slowly
pair = ModelPair.load(sys.argv[1], sys.argv[2])
sweep(pair, all_kinds(pair.depth), make_queries(), replies=make_replies(), grid=[(1.3, 0.0)], out=sys.argv[3])
"""


def test_a_sweep_killed_in_the_middle_gives_the_same_scores(pair_of, tmp_path, monkeypatch):
    monkeypatch.setattr("slr_probe.sweep.prepare._KEPT_CPU", 1.0)
    folders = pair_of("llama").folders
    pair = ModelPair.load(*folders)
    asked = {"recipes": all_kinds(4), "task": make_queries(), "replies": make_replies(), "grid": [(1.3, 0.0)]}
    whole = sweep(pair, **asked)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    arguments = [sys.executable, "-c", _CHILD, *map(str, folders), str(tmp_path / "out")]
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "saved\n"
        child.send_signal(signal.SIGKILL)
    ran = []
    original = measure_module.run_chunk
    monkeypatch.setattr(measure_module, "run_chunk", lambda *args: ran.append(args[1]) or original(*args))
    resumed = sweep(pair, **asked, out=tmp_path / "out")
    rows = len(make_queries()) + len(make_replies().replies)
    assert 0 < len({row for chunk in ran for row in chunk.rows}) < rows, "finished rows were run again"
    for name in ("answer_logprobs", "grid_logprobs", "reply_scores"):
        np.testing.assert_allclose(getattr(resumed, name), getattr(whole, name), rtol=0, atol=1e-5)
    loaded = SweepResult.load(resumed.save(tmp_path / "result.npz"))
    np.testing.assert_array_equal(loaded.at(1.3).replies.entropy, resumed.at(1.3).replies.entropy)
    for change in ({"replies": Replies(make_replies().replies[:2], (30,))}, {"reference": "1:2"}, {"grid": []}):
        with pytest.raises(SweepError, match="another sweep"):
            sweep(pair, **{**asked, **change}, out=tmp_path / "out")


def test_what_is_derived_from_the_scores(pair_of):
    pair, replies = ModelPair.load(*pair_of("qwen2").folders), make_replies()
    assert replies.true_ends == [(1, 9), (3, 1)]
    result = sweep(pair, None, replies=replies)
    found = result.replies
    assert found.given.shape == (1 + len(LayerRange.all(4)), 4, replies.positions)
    assert np.isnan(found.given[:, 3, 2]).all()
    np.testing.assert_allclose(found.surprise[:, 2], -found.given[:, 2, 1], rtol=1e-6)
    np.testing.assert_allclose(found.logprob[:, 0], found.given[:, 0, :6].sum(-1), rtol=1e-5)
    assert "4 replies read at 21 positions" in repr(result)
    assert sweep(pair, ["1:2"], make_queries()).replies is None
    plan = sweep(pair, None, make_queries(), replies=replies, dry_run=True)
    assert plan.prompts == len(make_queries()) + 4
    assert plan.seconds > 0


@pytest.mark.parametrize(
    ("replies", "error", "words"),
    [
        ([Reply((1,), (2,))], TaskError, "must be Replies; got list"),
        (Replies((Reply((1,), (2,) * 65),), (3,)), PromptError, "reply 0 has 65 tokens.*context is 64"),
        (Replies((Reply((1,), (2, 128)),), (3,)), PromptError, "reply 0 uses token id 128"),
        (Replies((Reply((1,), (2,)),), (500,)), PromptError, "end tokens uses token id 500"),
    ],
)
def test_replies_that_a_model_cannot_read(pair_of, replies, error, words):
    with pytest.raises(error, match=words):
        sweep(ModelPair.load(*pair_of("llama").folders), ["1:2"], replies=replies)


@pytest.mark.parametrize("grid", [[1.3], [(0.0, 0.0)], [(1.0, 2.0)], ["ab"]])
def test_a_grid_that_is_none(pair_of, grid):
    with pytest.raises(SweepError, match=r"grid|temperature|min_p"):
        sweep(ModelPair.load(*pair_of("llama").folders), ["1:2"], make_queries(), grid=grid)

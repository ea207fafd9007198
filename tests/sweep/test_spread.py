"""A sweep cut into blocks of rows: the same numbers, the same bytes after any kill, and nothing done twice."""

import numpy as np
import pytest

from slr_probe import ModelPair, Recipe
from slr_probe.errors import SlrProbeError, SweepError
from slr_probe.executor import LocalExecutor
from slr_probe.sweep import sweep
from slr_probe.sweep.spread import BLOCK
from slr_probe.sweep.store import ChunkStore
from slr_probe.tasks.answers import Query
from slr_probe.tasks.replies import Replies, Reply
from tests.sweep.naive import naive_logprobs

PROMPTS = [Query((11, 12, 20 + i, *range(30, 31 + i % 4)), ((20, 21), (22,))) for i in range(2 * BLOCK + 3)]
REPLIES = Replies((Reply((11, 12), (40, 41, 42), (0, 2)), Reply((13,), (50, 51), (1,))), (1,))


class Counting(LocalExecutor):
    """Counts the parts that it is given."""

    def __init__(self):
        self.parts = []

    def run(self, work, parts):
        self.parts += parts
        yield from super().run(work, parts)


@pytest.mark.parametrize("stream", [False, True])
def test_blocks_equal_swap_and_forward(pair_of, stream):
    pair = ModelPair.load(*pair_of("gemma3_text").folders, device="cpu")
    recipes, executor = [Recipe.restore("1:3", pair.depth), Recipe.soup(0.3, pair.depth)], Counting()
    found = sweep(pair, recipes, PROMPTS, stream=stream, executor=executor)
    assert [len(part) for part in executor.parts] == [BLOCK, BLOCK, 3]
    some = slice(None, None, 5)
    expected = naive_logprobs(pair, recipes, PROMPTS[some])
    np.testing.assert_allclose(found.answer_logprobs[:, some], expected, atol=2e-5)


def test_a_block_is_what_a_sweep_of_these_prompts_alone_gives(pair_of):
    pair = ModelPair.load(*pair_of("llama").folders, device="cpu")
    whole = sweep(pair, ["1:2", "0:3"], PROMPTS, executor="local")
    alone = sweep(pair, ["1:2", "0:3"], PROMPTS[:BLOCK])
    assert np.array_equal(whole.answer_logprobs[:, :BLOCK], alone.answer_logprobs)


def test_rows_of_one_kind_share_a_block(pair_of):
    pair = ModelPair.load(*pair_of("llama").folders, device="cpu")
    uncut = sweep(pair, ["1:2"], PROMPTS[:2], replies=REPLIES)
    executor = Counting()
    found = sweep(pair, ["1:2"], PROMPTS[:2], replies=REPLIES, executor=executor)
    assert executor.parts == [(0, 1), (2, 3)]
    np.testing.assert_allclose(found.reply_scores, uncut.reply_scores, atol=1e-5)


@pytest.mark.parametrize("saved", [0, 1, 2, 3])
def test_killed_at_any_moment(pair_of, tmp_path, monkeypatch, saved):
    pair = ModelPair.load(*pair_of("llama").folders, device="cpu")
    whole, appended = sweep(pair, ["1:2", "0:3"], PROMPTS, executor="local"), []
    append = ChunkStore.append

    def dies(self, *given):
        if len(appended) == saved:
            raise KeyboardInterrupt
        append(self, *given)
        appended.append(given)

    with monkeypatch.context() as patch:
        patch.setattr(ChunkStore, "append", dies)
        patch.setattr("slr_probe.sweep.result.SweepResult.save", interrupt)
        with pytest.raises(KeyboardInterrupt):
            sweep(pair, ["1:2", "0:3"], PROMPTS, out=tmp_path, executor="local")
    executor = Counting()
    resumed = sweep(pair, ["1:2", "0:3"], PROMPTS, out=tmp_path, executor=executor)
    assert len([part for part in executor.parts if part]) == 3 - saved
    assert np.array_equal(resumed.answer_logprobs, whole.answer_logprobs)
    assert {**resumed.settings, "seconds": 0} == {**resumed.settings, **whole.settings, "seconds": 0}


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("first", "then", "way"), [(None, "local", "give none"), ("local", None, "give executor='local'")]
)
def test_a_sweep_in_another_cut_is_refused_with_the_way_out(pair_of, tmp_path, first, then, way):
    pair = ModelPair.load(*pair_of("llama").folders, device="cpu")
    sweep(pair, ["1:2"], PROMPTS[:3], out=tmp_path, executor=first)
    with pytest.raises(SweepError, match=f"{way}.*or delete that folder"):
        sweep(pair, ["1:2"], PROMPTS[:3], out=tmp_path, executor=then)
    with pytest.raises(SweepError, match="holds another sweep"):
        sweep(pair, ["1:2"], PROMPTS[:2], out=tmp_path, executor=first)


def test_models_that_are_loaded_already_change_no_byte(pair_of):
    folders = pair_of("llama").folders
    fresh, used = (ModelPair.load(*folders, device="cpu") for _ in range(2))
    assert used.base.device == used.tuned.device
    tight = {"executor": "local", "memory": 3_000_000, "stream": False}
    one, other = (sweep(pair, None, PROMPTS, **tight) for pair in (fresh, used))
    assert np.array_equal(one.answer_logprobs, other.answer_logprobs)


def test_models_in_memory_are_swept_here_but_do_not_travel(pair_of):
    import pickle

    pair = ModelPair.load(*pair_of("llama").folders, device="cpu")
    loaded = ModelPair.load(pair.base, pair.tuned, tokenizer=pair.tokenizer)
    found = sweep(loaded, ["1:2"], PROMPTS[:3], executor="local")
    assert np.array_equal(found.answer_logprobs, sweep(pair, ["1:2"], PROMPTS[:3], executor="local").answer_logprobs)
    with pytest.raises(SlrProbeError, match="save it first"):
        pickle.dumps(loaded)

"""A graphics processor is kept busy only while nothing asks it for a number: the walk must never wait for one."""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from slr_probe.pair import ModelPair
from slr_probe.sweep import sweep
from slr_probe.sweep.walk.execute import BlockRunner
from slr_probe.tasks import Replies, Reply
from slr_probe.tasks.answers import Query
from tests.tiny import make_model

WAITING = {"_local_scalar_dense", "nonzero", "equal", "is_nonzero", "masked_select", "unique"}


class Waits(TorchDispatchMode):
    """Counts operations whose result the program needs before it can go on."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__.partition(".")[0]
        self.seen[name] += name in WAITING
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "qwen3"])
def test_the_walk_waits_for_nothing(family, monkeypatch):
    pair = ModelPair.load(make_model(family, 1), make_model(family, 2), device="cpu")
    queries = [Query((1, 7, 8, *range(9, 12 + i)), ((4,), (5,))) for i in range(4)]
    replies = Replies((Reply((1, 7, 8, 9), (10, 11, 3)), Reply((1, 7, 8), (12, 3))), (3,))
    walk, waits, calls = BlockRunner.run, Waits(), []

    def watched(self, trie, groups, rows, done):
        parts = walk(self, trie, groups, rows, done)
        while True:
            with waits:
                part = next(parts, None)
            if part is None:
                return
            calls.append(part)
            yield part

    def embed(self, *args, _embed=BlockRunner._embed):
        before = waits.seen.copy()  # how the model calls its blocks is captured here, once for each shape
        try:
            return _embed(self, *args)
        finally:
            waits.seen = before

    monkeypatch.setattr(BlockRunner, "run", watched)
    monkeypatch.setattr(BlockRunner, "_embed", embed)
    assert sweep(pair, None, queries, replies=replies, progress=False).settings["method"] == "wavefront"
    assert calls
    assert not +waits.seen


def test_it_would_see_one():
    with Waits() as waits:
        torch.ones(3).sum().item()
    assert +waits.seen

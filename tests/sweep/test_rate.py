"""The share of the matrix rate: its operations against those of the products that are run; its clock a stand-in."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from slr_probe.pair import ModelPair
from slr_probe.recipe import Recipe
from slr_probe.sweep import measure as measure_module
from slr_probe.sweep import run as run_module
from slr_probe.sweep import sweep
from slr_probe.sweep.measure import matmul_share, measured
from slr_probe.sweep.prepare import prepare
from slr_probe.sweep.settings import Measure, Request, as_recipes
from slr_probe.sweep.walk.rate import count_flops, matmul_rate
from slr_probe.tasks import Replies, Reply
from slr_probe.tasks.answers import Query
from tests.tiny import make_model

QUERIES = [Query((1, 7, 8, *range(9, 12 + i)), ((4,), (5,))) for i in range(4)]
REPLIES = Replies((Reply((1, 7, 8, 9), (10, 11, 3)), Reply((1, 7, 8), (12, 3))), (3,))
PRODUCTS = {"mm", "addmm", "bmm"}


class Products(TorchDispatchMode):
    """Operations of all products of two matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__.partition(".")[0]
        if name in PRODUCTS and args[-1].ndim == 2:
            left, right = args[-2:]
            self.flops += 2 * left.shape[0] * left.shape[1] * right.shape[1]
        return func(*args, **(kwargs or {}))


def ready_for(family, queries=QUERIES, replies=None):
    pair = ModelPair.load(make_model(family, 1), make_model(family, 2), device="cpu")
    tuned = Recipe.tuned(pair.depth)
    request = Request(pair, as_recipes(pair, None), tuple(queries), Measure(), None, replies, tuned)
    todo = list(range(len(request.recipes))), list(range(len(request.asked.rows)))
    with torch.no_grad():
        return request, todo, prepare(request, *todo, 10**9, None, pieces=1)


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "qwen3"])
@torch.no_grad()
def test_operations_are_those_of_the_products_that_are_run(family):
    request, todo, ready = ready_for(family)
    for chunk in ready.schedule.chunks:
        for group in chunk.groups:
            ready.runner.warm(group)
    with Products() as counted:
        list(measured(request, ready, *todo, lambda _: None))
    rows, weights = request.asked.rows, ready.runner.weights
    found = count_flops(weights, ready.schedule.chunks, rows, split=ready.runner.split)
    # What is run beside: queries of tokens that are not read, and padding.
    assert 0.85 * counted.flops < found <= counted.flops


def test_the_share_is_operations_by_time_and_rate():
    request, _, ready = ready_for("llama", replies=REPLIES)
    rows, weights = request.asked.rows, ready.runner.weights
    chunks = [*ready.schedule.chunks, *ready.reference.chunks]
    flops = count_flops(weights, chunks, rows, split=ready.runner.split)
    assert count_flops(weights, chunks[:-1], rows, split=ready.runner.split) < flops
    assert matmul_share(ready, rows, 50.0, lambda device, dtype: flops / 40.0) == 0.8
    assert matmul_share(ready, rows, 19.0, lambda device, dtype: flops) is None


def test_only_a_long_sweep_has_one_and_nothing_else_changes(monkeypatch):
    pair = ModelPair.load(make_model("llama", 1), make_model("llama", 2), device="cpu")
    short = sweep(pair, ["1:2"], QUERIES)
    clock = iter(range(0, 1000, 40))
    monkeypatch.setattr(run_module.time, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(measure_module, "matmul_rate", lambda device, dtype: 1.0)
    long = sweep(pair, ["1:2"], QUERIES, progress=False)
    assert long.settings["matmul_share"] > 0
    assert f"{long.settings['matmul_share']:.2f} of this device's matrix rate" in repr(long)
    assert {**long.settings, **short.settings} == {**long.settings, "seconds": short.settings["seconds"]}
    assert "matmul_share" not in short.settings
    assert (long.answer_logprobs == short.answer_logprobs).all()


def test_the_rate_is_measured_once():
    device = torch.device("cpu")
    first = matmul_rate(device, torch.float32)
    assert 1e8 < first < 1e14
    assert matmul_rate(device, torch.float32) == first

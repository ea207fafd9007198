"""Text cut into one model on a block of prompts: the same texts, the same after any kill, and nothing done twice."""

import pickle
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from slr_probe import ModelPair
from slr_probe.errors import GenerationError, SlrProbeError
from slr_probe.executor import LocalExecutor
from slr_probe.generation import Sampling, generate
from slr_probe.generation.backend import InMemory
from slr_probe.generation.calls import spread
from slr_probe.generation.calls.asked import Asked
from slr_probe.generation.calls.job import Job
from slr_probe.generation.calls.spread import BLOCK, Writing, write_spread
from slr_probe.generation.journal import Journal
from tests.generation.vllm_fake import install_fake_vllm
from tests.tiny_tokenizer import make_tokenizer

PROMPTS = [(f"p{i}", f"Say {' '.join('abcde'[: 1 + i % 4])}") for i in range(2 * BLOCK + 3)]
SHORT = Sampling(max_tokens=5, seed=1)


class Counting(LocalExecutor):
    """Counts the parts that it is given, and turns their order around."""

    def __init__(self):
        self.parts = []

    def run(self, work, parts):
        self.parts += parts
        for number, found in super().run(work, parts[::-1]):
            yield len(parts) - 1 - number, found


@pytest.fixture(scope="module")
def pair(pair_of):
    return ModelPair.load(*pair_of("llama").folders, tokenizer=make_tokenizer(), device="cpu")


@pytest.fixture(scope="module")
def uncut(pair):
    return generate(pair, PROMPTS, ["tuned", "1:3", "base"], samples=3, sampling=SHORT)


def test_blocks_are_cut_by_content_and_write_what_one_process_writes(pair, uncut):
    executor = Counting()
    found = generate(pair, PROMPTS, ["tuned", "1:3", "base"], samples=3, sampling=SHORT, executor=executor)
    assert [len(part.requests) for part in executor.parts] == 3 * [BLOCK, BLOCK, 3]
    assert found == uncut


@pytest.mark.parametrize("saved", [0, 1, 2, 3, 4])
def test_killed_at_any_moment(pair, uncut, tmp_path, monkeypatch, saved):
    append, appended = Journal.append, []

    def dies(self, rows):
        if len(appended) == saved:
            append(self, rows[:1])  # torn: a line of the block is there
            raise KeyboardInterrupt
        append(self, rows)
        appended.append(1)

    asked = {"samples": 3, "sampling": SHORT, "out": tmp_path}
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", dies)
        with pytest.raises(KeyboardInterrupt):
            generate(pair, PROMPTS, ["tuned", "1:3"], **asked, executor="local")
    executor = Counting()
    found = generate(pair, PROMPTS, ["tuned", "1:3"], **asked, executor=executor)
    assert len(executor.parts) == 6 - saved
    assert found == {name: uncut[name] for name in found}
    again = Counting()
    assert generate(pair, PROMPTS, ["tuned", "1:3"], **asked, executor=again) == found
    assert not again.parts
    assert len((tmp_path / "tuned.jsonl").read_text().splitlines()) == 3 * len(PROMPTS)


def test_more_samples_are_added_to_blocks(pair, uncut, tmp_path):
    generate(pair, PROMPTS, "tuned", samples=1, sampling=SHORT, out=tmp_path, executor="local")
    executor = Counting()
    found = generate(pair, PROMPTS, "tuned", samples=3, sampling=SHORT, out=tmp_path, executor=executor)
    assert {request.samples for part in executor.parts for request in part.requests} == {(1, 2)}
    assert found["tuned"] == uncut["tuned"]


def test_greedy_text_is_written_once_and_repeated(pair):
    greedy = replace(SHORT, temperature=0.0)
    executor = Counting()
    found = generate(pair, PROMPTS[:2], "1:3", samples=4, sampling=greedy, executor=executor)
    assert [request.samples for request in executor.parts[0].requests] == [(0,), (0,)]
    assert found == generate(pair, PROMPTS[:2], "1:3", samples=4, sampling=greedy)


def test_several_calls_are_one_queue_in_which_a_model_comes_once(pair, uncut, tmp_path):
    warm = replace(SHORT, temperature=1.5)
    calls = [
        Asked(PROMPTS, {"one": "tuned", "two": "1:3"}, 3, SHORT, out=tmp_path / "a"),
        Asked(PROMPTS, {"warm": "tuned"}, 2, warm, out=tmp_path / "b"),
    ]
    executor = Counting()
    cold, warmer = write_spread(pair, calls, executor)
    assert [part.source.name for part in executor.parts] == 3 * ["one"] + 3 * ["warm"] + 3 * ["two"]
    assert cold["two"].texts == uncut["1:3"].texts
    assert warmer == generate(pair, PROMPTS, {"warm": "tuned"}, samples=2, sampling=warm)


def test_vllm_swaps_a_model_once_for_all_blocks(monkeypatch):
    fake = install_fake_vllm(monkeypatch)
    pair = ModelPair.load("organism:base", "organism:dpo", device="cpu", dtype="float32")
    options = {"backend": "vllm", "engine": {"tensor_parallel_size": 2}, "samples": 2, "sampling": SHORT}
    generate(pair, PROMPTS, ["1:3", "tuned", "2:5"], **options, executor="local")
    assert len(fake.engines) == 1
    assert len(fake.rpc) == 2
    assert len(fake.prompts) == 2 * 3 * len(PROMPTS)
    assert not fake.llms[0].open


def test_a_worker_that_comes_late_expects_no_model_that_is_written(pair, monkeypatch):
    expected = []
    monkeypatch.setattr(InMemory, "expect", lambda self, *asked: expected.append(asked))
    executor, models = Counting(), ["tuned", "1:3", "base"]
    generate(pair, PROMPTS, models, samples=1, sampling=SHORT, executor=executor)
    sources = tuple(executor.parts[number].source for number in (0, 3, 6))
    work = Writing(pair, "hf", {}, None, (), sources, 9)
    expected.clear()
    with work.open() as write:
        write(executor.parts[4])
        write(executor.parts[8])
    assert expected == [([*sources[1:]], 9)]


def test_an_engine_is_made_for_what_is_left(pair, tmp_path):
    long = Asked(PROMPTS, "tuned", 1, replace(SHORT, max_tokens=30), out=tmp_path)
    assert Job(pair, long, "hf").begin({}).longest == max(map(_tokens(pair), PROMPTS)) + 30
    write_spread(pair, [long], "local")
    assert Job(pair, long, "hf").begin({}).longest == 0
    more = replace(long, models=["tuned", "1:3"], prompts=PROMPTS[:1])
    assert Job(pair, more, "hf").begin({}).longest == _tokens(pair)(PROMPTS[0]) + 30


def _tokens(pair):
    return lambda prompt: len(pair.render(prompt[1]))


@pytest.mark.parametrize(
    ("device", "settings", "gpus"),
    [
        ("cpu", {"tensor_parallel_size": 4}, 0),
        ("cuda", {}, 1),
        ("cuda", {"tensor_parallel_size": 2, "pipeline_parallel_size": 3}, 6),
    ],
)
def test_gpus_of_an_engine(monkeypatch, device, settings, gpus):
    engine, asked = SimpleNamespace(expect=lambda *_: None), []
    monkeypatch.setattr(spread, "open_backend", lambda *given, **_: asked.append(given[2]) or nullcontext(engine))
    work = Writing(SimpleNamespace(device=torch.device(device)), "vllm", settings, None, (), (), 1)
    with work.open():
        assert work.gpus == gpus
    assert asked[0].get("distributed_executor_backend") == ("mp" if gpus > 1 else None)


def test_what_cannot_travel(pair):
    engine = SimpleNamespace(decisive={}, expect=print, order=print, write=print)
    with pytest.raises(GenerationError, match="cannot travel"):
        generate(pair, PROMPTS, "tuned", samples=1, engine=engine, executor="local")
    loaded = ModelPair.load(pair.base, pair.tuned, tokenizer=pair.tokenizer)
    assert generate(loaded, PROMPTS[:1], "tuned", samples=1, sampling=SHORT, executor="local")
    with pytest.raises(SlrProbeError, match="save it first"):
        pickle.dumps(Writing(loaded, "hf", {}, None, (), (), 1))

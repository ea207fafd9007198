"""Live hybrids in a real engine, where vLLM is installed: they write what an engine with their folder writes."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL
from threading import Thread
from time import sleep
from typing import Any

import pytest

from slr_probe import ModelPair, Recipe
from slr_probe.errors import GenerationError
from slr_probe.generation import Sampling, generate
from slr_probe.generation.vllm.engine import Engine
from tests.tiny import write_checkpoint
from tests.tiny_tokenizer import make_tokenizer

pytest.importorskip("vllm")
pytestmark = pytest.mark.filterwarnings("ignore")

GEMMA = {"head_dim": 64, "query_pre_attn_scalar": 64, "final_logit_softcapping": 4.0, "sliding_window": 512}
"""Its head is tied to its embedding: uncapped, a random one repeats the token before, whatever its blocks do. In a
window of a few tokens no key that is kept would be looked at."""
FAMILIES = {"llama": {}, "qwen2": {}, "gemma3_text": GEMMA}
HEADS = {"hidden_size": 128, "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 512}
ENGINE = {"enforce_eager": True}
PROMPTS = [("short", "Pick a letter."), ("long", "Tell me of the cat and the ball. " * 12)]
SAMPLING = Sampling(temperature=1.0, min_p=0.05, max_tokens=12, seed=3)


@pytest.fixture(params=list(FAMILIES))
def pair(request: Any, tmp_path: Path) -> ModelPair:
    """A tiny pair with heads of a size that the engine's kernels have."""
    for seed, role in enumerate(("base", "tuned"), 1):
        write_checkpoint(tmp_path / role, request.param, seed, **{**HEADS, **FAMILIES[request.param]})
        make_tokenizer().save_pretrained(tmp_path / role)
    return ModelPair.load(tmp_path / "base", tmp_path / "tuned", device="cpu", dtype="float32")


def texts(pair: ModelPair, models: Any, backend: str, executor: str | None = None) -> dict[str, Any]:
    how: dict[str, Any] = {"backend": backend, "engine": ENGINE, "executor": executor, "progress": False}
    found = generate(pair, PROMPTS, models, samples=3, sampling=SAMPLING, **how)
    return {name: outputs.texts for name, outputs in found.items()}


def test_live_hybrids_write_what_their_folders_write(pair: ModelPair) -> None:
    models = {
        "tuned": "tuned",
        "range": "1:3",
        "set": Recipe.restore({0, 3}, 4),
        "attention": Recipe.restore("0:2", 4, only="attention"),
        "soup": Recipe.soup(0.5, 4),
        "base": "base",
        "tuned again": Recipe.tuned(4),
    }
    live = texts(pair, models, "vllm")
    assert live == texts(pair, models, "vllm-folders")
    assert live["tuned"] == live["tuned again"]
    assert len({str(found) for found in live.values()}) == len(models) - 1


def test_the_old_models_keys_would_be_used_without_a_reset(pair: ModelPair, monkeypatch: pytest.MonkeyPatch) -> None:
    right = texts(pair, ["tuned", "0:4"], "vllm")
    monkeypatch.setattr(Engine, "forget", lambda self: None)
    with suppress(GenerationError):  # the proof may see it first
        assert texts(pair, ["tuned", "0:4"], "vllm") != right


@pytest.mark.parametrize("pair", ["llama"], indirect=True)
def test_an_engine_in_a_ray_worker_writes_the_same_also_after_a_kill(pair: ModelPair) -> None:
    pytest.importorskip("ray")
    models = ["tuned", "1:3", "base"]
    killed: list[int] = []
    thread = Thread(target=kill_a_loaded_worker, args=(killed,), daemon=True)
    thread.start()
    assert texts(pair, models, "vllm", "ray") == texts(pair, models, "vllm")
    assert killed
    assert not workers()


def workers() -> dict[int, int]:
    """Resident bytes of Ray's workers by process id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if folder.joinpath("cmdline").read_bytes().startswith(b"ray::Worker"):
                found[int(folder.name)] = 4096 * int(folder.joinpath("statm").read_text().split()[1])
    return found


def kill_a_loaded_worker(killed: list[int]) -> None:
    """End the first worker that has imported vLLM and begun to start its engine."""
    while not killed:
        sleep(0.1)
        for number, size in workers().items():
            if size > 1_200_000_000:
                sleep(2)
                killed.append(number)
                os.kill(number, SIGKILL)


@pytest.mark.skipif("SLR_PROBE_PAIR" not in os.environ, reason="SLR_PROBE_PAIR names no pair")
def test_the_real_pair() -> None:
    folder = Path(os.environ["SLR_PROBE_PAIR"])
    pair = ModelPair.load(folder / "base", folder / "tuned", device="cpu", dtype="float32")
    models = ["tuned", "5:8", Recipe.soup(0.5, pair.depth)]
    assert texts(pair, models, "vllm") == texts(pair, models, "vllm-folders")

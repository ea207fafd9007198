"""`validate` with vLLM: one engine for all methods and tasks, or a folder for each hybrid."""

import sys

import pytest

from slr_probe import ModelPair, verify_hybrid
from slr_probe.errors import GenerationError
from slr_probe.tasks import CRCItem, CRCTask
from slr_probe.tasks.text import Item, TextTask
from slr_probe.validation import run, validate
from tests.generation.vllm_fake import install_fake_vllm
from tests.tiny import make_model
from tests.tiny_tokenizer import make_tokenizer

WRITE = TextTask("write", "writing", tuple(Item(f"w{i}", f"Write {i}") for i in range(3)), 4, 2, "test")
LONGER = TextTask("longer", "writing", tuple(Item(f"l{i}", f"Write more {i}") for i in range(3)), 9, 2, "test")
CHOICES = CRCTask.of(CRCItem(f"Pick {' '.join(s)}", tuple(s)) for s in ("ab", "cde"))
OPTIONS = {"crc": CHOICES, "resamples": 50, "backend": "vllm", "temperatures": (1.5,), "random_ranges": 1}
BASELINES = ("early", "soup", "temperature", "hybrid_temperature", "base", "base_plain")
FEW = {**OPTIONS, "baselines": "none", "crc": False}


@pytest.fixture
def vllm(monkeypatch):
    return install_fake_vllm(monkeypatch)


@pytest.fixture(scope="module")
def pair():
    return ModelPair.load("organism:base", "organism:dpo", device="cpu", dtype="float32")


def test_one_engine_for_all_methods_and_tasks(pair, vllm, tmp_path):
    report = validate(pair, "1:3", [WRITE, LONGER], baselines=BASELINES, out=tmp_path / "out", **OPTIONS)
    assert set(report.kinds) >= {"tuned", "hybrid", "early", "soup", "temperature", "base", "base_plain"}
    (engine,) = vllm.engines
    assert engine["max_model_len"] >= max(map(len, (p["prompt_token_ids"] for p in vllm.prompts))) + 9
    assert not vllm.llms[0].open
    assert not list(tmp_path.glob("**/*.safetensors"))


def test_settings_reach_the_engine(pair, vllm):
    validate(pair, "1:3", WRITE, engine=["tensor_parallel_size=2"], **FEW)
    assert vllm.engines[0]["tensor_parallel_size"] == 2


def test_hybrids_as_folders_are_built_once(pair, vllm, tmp_path, monkeypatch):
    asked = {**FEW, "backend": "vllm-folders", "out": tmp_path / "out"}
    first = validate(pair, "1:3", WRITE, **asked)
    (hybrid,) = (tmp_path / "out" / "hybrids").iterdir()
    assert verify_hybrid(hybrid).ok
    assert [engine["model"] for engine in vllm.engines] == [str(pair.tuned_side.path), str(hybrid)]
    monkeypatch.setattr("slr_probe.generation.vllm.folders.restore", lambda *_, **__: pytest.fail("built again"))
    assert first.models == validate(pair, "1:3", WRITE, **asked).models == ("tuned", "hybrid 1:3")
    assert len(vllm.engines) == 2  # nothing was left to write


def test_what_cannot_work_fails_before_any_work(pair, vllm, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "CRC", lambda *_, **__: pytest.fail("work was begun"))
    with pytest.raises(GenerationError, match="unknown backend 'tpu'"):
        validate(pair, "1:3", WRITE, **{**OPTIONS, "backend": "tpu"})
    with pytest.raises(GenerationError, match="KEY=VALUE"):
        validate(pair, "1:3", WRITE, engine=["nothing"], **OPTIONS)
    models = [make_model("llama", seed, max_position_embeddings=256) for seed in (1, 2)]
    loaded = ModelPair.load(*models, tokenizer=make_tokenizer(), device="cpu")
    with pytest.raises(GenerationError, match="loads checkpoint folders; base is LlamaForCausalLM in memory"):
        validate(loaded, "1:3", WRITE, out=tmp_path / "out", **OPTIONS)
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(GenerationError, match="pip install"):
        validate(pair, "1:3", WRITE, out=tmp_path / "out", **OPTIONS)

"""`validate` with a backend that loads models from folders: hybrids are built there first."""

import json
import sys

import pytest

from slr_probe import ModelPair, Recipe, verify_hybrid
from slr_probe.errors import GenerationError, OutputError, ValidationError
from slr_probe.tasks import CRCItem, CRCTask
from slr_probe.tasks.text import Item, TextTask
from slr_probe.validation import run, validate
from tests.generation.vllm_fake import install_fake_vllm
from tests.tiny import make_model
from tests.tiny_tokenizer import make_tokenizer

WRITE = TextTask("write", "writing", tuple(Item(f"w{i}", f"Write {i}") for i in range(3)), 4, 2, "test")
CHOICES = CRCTask.of(CRCItem(f"Pick {' '.join(s)}", tuple(s)) for s in ("ab", "cde"))
OPTIONS = {"crc": CHOICES, "resamples": 50, "backend": "vllm", "temperatures": (1.5,), "random_ranges": 1}
BASELINES = ("early", "soup", "temperature", "hybrid_temperature", "base", "base_plain")


@pytest.fixture
def vllm(monkeypatch):
    return install_fake_vllm(monkeypatch)


@pytest.fixture(scope="module")
def pair(pair_of):
    return ModelPair.load(*pair_of("llama").folders, device="cpu")


def test_every_model_is_given_as_a_folder(pair, vllm, tmp_path):
    report = validate(pair, "1:3", WRITE, baselines=BASELINES, out=tmp_path / "out", **OPTIONS)
    home = tmp_path / "out" / "hybrids"
    (soup,) = (name for name, kind in zip(report.models, report.kinds, strict=True) if kind == "soup")
    built = {"hybrid-1~3a3": "1:3", "early-0~3a2": "0:2", soup.replace(" ", "-"): soup.removeprefix("soup ")}
    assert {folder.name for folder in home.iterdir()} == set(built)
    asked = [engine["model"] for engine in vllm.engines]
    sides = {str(pair.base_side.path), str(pair.tuned_side.path)}
    assert set(asked) == {str(home / name) for name in built} | sides
    assert asked.count(str(home / "hybrid-1~3a3")) == 2  # at both temperatures, built once
    recipe = json.loads((home / "hybrid-1~3a3" / "recipe.json").read_text())["recipe"]
    assert recipe == Recipe.restore("1:3", pair.depth).to_dict()
    assert all(verify_hybrid(folder).ok for folder in home.iterdir())


def test_an_adapter_is_merged(pair_of, vllm, tmp_path):
    pytest.importorskip("peft")
    from tests.checkpoint.test_adapter import train_adapter

    base = pair_of("llama").base
    train_adapter(base, tmp_path / "adapter")
    pair = ModelPair.load(base, tmp_path / "adapter", device="cpu")
    validate(pair, "1:3", WRITE, out=tmp_path / "out", **{**OPTIONS, "crc": False, "baselines": "none"})
    home = tmp_path / "out" / "hybrids"
    assert [engine["model"] for engine in vllm.engines] == [str(home / "tuned"), str(home / "hybrid-1~3a3")]
    assert verify_hybrid(home / "tuned").ok


def test_what_is_built_is_used_again(pair, vllm, tmp_path, monkeypatch):
    asked = {**OPTIONS, "baselines": "none", "crc": False, "out": tmp_path / "out"}
    monkeypatch.setattr(run, "generate_all", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        validate(pair, "1:3", WRITE, **asked)
    monkeypatch.undo()
    install_fake_vllm(monkeypatch)
    monkeypatch.setattr("slr_probe.restoration.disk.restore", lambda *_, **__: pytest.fail("built again"))
    first = validate(pair, "1:3", WRITE, **asked)
    assert first.models == validate(pair, "1:3", WRITE, **asked).models == ("tuned", "hybrid 1:3")


def test_the_folder_of_another_hybrid_is_refused(pair, vllm, tmp_path):
    asked = {**OPTIONS, "baselines": "none", "crc": False, "out": tmp_path / "out"}
    validate(pair, "1:3", WRITE, **asked)
    record = tmp_path / "out" / "hybrids" / "hybrid-1~3a3" / "recipe.json"
    data = json.loads(record.read_text())
    record.write_text(json.dumps({**data, "tuned": {**data["tuned"], "fingerprint": "other"}}))
    with pytest.raises(OutputError, match="exists and is not empty"):
        validate(pair, "1:3", WRITE, **asked)


def test_what_cannot_work_fails_before_any_work(pair, vllm, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "CRC", lambda *_, **__: pytest.fail("work was begun"))
    with pytest.raises(ValidationError, match="give out, the folder that they are built in"):
        validate(pair, "1:3", WRITE, **OPTIONS)
    with pytest.raises(ValidationError, match="unknown backend 'tpu'; expected 'hf' or 'vllm'"):
        validate(pair, "1:3", WRITE, **{**OPTIONS, "backend": "tpu"})
    models = [make_model("llama", seed, max_position_embeddings=256) for seed in (1, 2)]
    loaded = ModelPair.load(*models, tokenizer=make_tokenizer(), device="cpu")
    with pytest.raises(ValidationError, match="loads checkpoint folders; base is LlamaForCausalLM in memory"):
        validate(loaded, "1:3", WRITE, out=tmp_path / "out", **OPTIONS)
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(GenerationError, match="pip install"):
        validate(pair, "1:3", WRITE, out=tmp_path / "out", **OPTIONS)

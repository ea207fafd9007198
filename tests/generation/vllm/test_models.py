"""Models in vLLM, with a stand-in: what it is asked, how hybrids are swapped, and what falls back to folders."""

import os
import sys
import warnings
from pathlib import Path

import pytest
import torch

from slr_probe import ModelPair, Recipe, restore, restored
from slr_probe.errors import GenerationError
from slr_probe.generation import Sampling, generate
from slr_probe.generation.decode import end_tokens
from slr_probe.generation.vllm import VllmModels
from slr_probe.generation.vllm.models import cannot_swap
from tests.generation.conftest import PROMPTS
from tests.tiny import make_model
from tests.tiny_tokenizer import make_tokenizer

SHORT = Sampling(max_tokens=5, seed=1)
SOUP = Recipe.soup(0.5, 4)


def write(pair, models, backend="vllm", **options):
    return generate(pair, PROMPTS, models, **{"samples": 2, "sampling": SHORT, "backend": backend, **options})


def test_vllm_is_asked_for_exactly_the_settings(pair, vllm):
    sampling = Sampling(temperature=0.7, top_p=0.9, top_k=50, min_p=0.02, max_tokens=11, seed=3, stop="\n\n")
    found = write(pair, ["tuned", "1:3"], sampling=sampling, engine=["tensor_parallel_size=2"])
    (engine,) = vllm.engines
    longest = max(len(pair.render(text)) for _, text in PROMPTS)
    expected = {
        "model": str(pair.tuned_side.path),
        "dtype": "float32",
        "generation_config": "vllm",
        "tensor_parallel_size": 2,
        "worker_extension_cls": "slr_probe.generation.vllm.worker.HybridWorker",
    }
    assert engine | expected == engine
    assert engine["max_model_len"] >= longest + 11
    assert vllm.prompts[0] == {"prompt_token_ids": pair.render(PROMPTS[0][1])}
    asked = {"n": 1, "temperature": 0.7, "top_p": 0.9, "top_k": 50, "min_p": 0.02, "max_tokens": 11, "stop": ["\n\n"]}
    assert vllm.options[0] | asked == vllm.options[0]
    assert set(vllm.options[0]["stop_token_ids"]) == set(end_tokens(pair))
    assert len({options["seed"] for options in vllm.options[:6]}) == 6
    assert found["1:3"].texts[0][0] == pair.tokenizer.decode([70, 71, 6])
    assert found["tuned"].finished == ((True, True),) * 3


def test_one_engine_becomes_every_hybrid(pair, vllm, tmp_path):
    models = {"soup": SOUP, "1:3": "1:3", "tuned": "tuned", "base": "base", "1:2": "1:2", "plain": "tuned (plain)"}
    found = write(pair, models, out=tmp_path)
    assert list(found) == list(models)
    assert len(vllm.engines) == 1
    assert not list(tmp_path.glob("**/*.safetensors"))
    base, tuned = (str(side.path) for side in (pair.base_side, pair.tuned_side))
    assert all(args[:2] == (base, tuned) and all(isinstance(name, str) for name in args[3]) for args in vllm.rpc)
    assert vllm.resets == len(vllm.rpc) == 4  # tuned comes first, and nothing is loaded for it
    assert not vllm.llms[0].open


def test_the_engine_holds_the_hybrid_and_then_tuned_again(pair, vllm):
    with VllmModels(pair) as models:
        for recipe in (Recipe.restore("0:2", 4, only="q"), SOUP, Recipe.restore({0, 3}, 4), Recipe.tuned(4)):
            live = models._live
            live.expect([recipe], 200)
            live.become(recipe)
            with restored(pair, recipe) as model:
                expected = model.state_dict()
                state = vllm.llms[-1].worker.state
                assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())


def test_only_what_differs_is_loaded(pair, vllm):
    write(pair, ["1:2", "1:3"])
    loaded = [{name.split(".")[2] for name in args[3]} for args in vllm.rpc]
    assert loaded == [{"1"}, {"2"}]


def test_without_a_reset_the_old_keys_and_values_are_found_out(pair, vllm):
    vllm.forgetful = True
    with pytest.raises(GenerationError, match="does not run"):
        write(pair, ["tuned", "1:3"])
    assert not any(llm.open for llm in vllm.llms)


def test_a_cache_that_is_not_reset_is_an_error(pair, vllm, monkeypatch):
    monkeypatch.setattr(sys.modules["vllm"].LLM, "reset_prefix_cache", lambda self: False)
    with pytest.raises(GenerationError, match="did not reset"):
        write(pair, ["1:3"])


def test_a_worker_that_takes_too_little_is_an_error(pair, vllm, monkeypatch):
    monkeypatch.setattr(sys.modules["vllm"].LLM, "collective_rpc", lambda self, method, args: [len(args[3]), 3])
    with pytest.raises(GenerationError, match="took"):
        write(pair, ["1:3"])


def test_an_open_backend_keeps_its_engine(pair, vllm):
    with VllmModels(pair) as models:
        models.expect([], 240)
        for sampling in (SHORT, Sampling(max_tokens=9, seed=2)):
            write(pair, ["tuned", "1:3"], sampling=sampling, engine=models)
        assert len(vllm.engines) == 1
        assert vllm.llms[0].open
    assert not vllm.llms[0].open


def test_an_adapter_is_merged_inside_the_engine(folders, vllm, tmp_path):
    pytest.importorskip("peft")
    from tests.checkpoint.test_adapter import train_adapter

    train_adapter(folders[0], tmp_path / "adapter")
    pair = ModelPair.load(folders[0], tmp_path / "adapter", device="cpu", dtype="float32")
    write(pair, ["tuned", "1:3"])
    assert [engine["model"] for engine in vllm.engines] == [str(folders[0])]
    with restored(pair, "1:3") as model:
        state = vllm.llms[0].worker.state
        assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())


def test_base_under_another_config_is_a_folder(folders, vllm, tmp_path):
    from tests.tiny import write_checkpoint

    other = write_checkpoint(tmp_path / "base", "llama", 1, max_position_embeddings=256, rope_theta=5000.0)
    make_tokenizer().save_pretrained(other)
    pair = ModelPair.load(other, folders[1], device="cpu", dtype="float32")
    assert pair.base_fields
    write(pair, ["base", "tuned", "1:3"])
    assert [engine["model"] for engine in vllm.engines] == [str(folders[1]), str(other)]


# -- folders -------------------------------------------------------------------------------------------------------


def test_folders_on_request(pair, vllm, tmp_path):
    write(pair, ["tuned", "1:3"], "vllm-folders", out=tmp_path)
    (hybrid,) = (tmp_path / "hybrids").iterdir()
    assert [engine["model"] for engine in vllm.engines] == [str(pair.tuned_side.path), str(hybrid)]
    before = os.stat(hybrid / "recipe.json").st_mtime_ns
    write(pair, ["tuned", "1:3"], "vllm-folders", out=tmp_path, samples=3)
    assert os.stat(hybrid / "recipe.json").st_mtime_ns == before  # used again
    write(pair, ["tuned", "1:3"], out=tmp_path, samples=3)
    assert len(vllm.engines) == 4  # what folders wrote counts for the live engine as well


def test_folders_without_a_place_are_deleted(pair, vllm):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # folders were asked for, so nothing has to be said of them
        write(pair, ["1:3"], "vllm-folders")
    assert not Path(vllm.engines[0]["model"]).exists()


def test_a_model_with_states_falls_back(pair, vllm, tmp_path):
    """Known from vLLM alone, after its engine has started."""
    vllm.recurrent = True
    with pytest.warns(UserWarning, match="states"):
        write(pair, ["tuned", "1:3"], out=tmp_path)
    models = [Path(engine["model"]).parent.name for engine in vllm.engines]
    assert models[-1] == "hybrids"


@pytest.mark.parametrize(
    ("family", "settings", "why"),
    [("llama", {}, ""), ("llama", {"quantization": "fp8"}, "quantised"), ("qwen3_5", {}, "states")],
)
def test_what_cannot_be_swapped(pair_of, family, settings, why):
    reason = cannot_swap(ModelPair.load(*pair_of(family).folders, device="cpu"), settings)
    assert why in reason
    assert bool(why) == bool(reason)


def test_the_end_bias_of_a_model_is_added(vllm, tmp_path):
    hybrid = restore("organism:base", "organism:dpo", "2:4", tmp_path / "hybrid", end_bias={6: 1.5})
    pair = ModelPair.load("organism:base", "organism:dpo", device="cpu", dtype="float32")
    write(pair, {"tuned": "tuned", "hybrid": hybrid}, samples=1)
    assert [options["logit_bias"] for options in vllm.options[:: len(PROMPTS)]] == [None, {6: 1.5}]
    biased = ModelPair.load("organism:base", hybrid, device="cpu", dtype="float32")
    vllm.options.clear()
    write(biased, ["3:5"], samples=1)
    assert vllm.options[0]["logit_bias"] == {6: 1.5}


# -- errors ------------------------------------------------------------------------------------------------------------


def test_what_cannot_work_fails_first(pair, vllm, monkeypatch):
    for options, why in (
        ({"engine": ["model=other"]}, "no setting of the engine"),
        ({"backend": "tpu"}, "unknown backend 'tpu'"),
        ({"backend": "hf", "engine": ["tensor_parallel_size=2"]}, "are for backend='vllm'"),
    ):
        with pytest.raises(GenerationError, match=why):
            write(pair, ["1:3"], **options)
    models = [make_model("llama", seed, max_position_embeddings=256) for seed in (1, 2)]
    with pytest.raises(GenerationError, match="base is LlamaForCausalLM in memory"):
        write(ModelPair.load(*models, tokenizer=make_tokenizer(), device="cpu"), ["1:3"])
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(GenerationError, match="pip install"):
        write(pair, ["tuned"])
    assert not vllm.engines


def test_an_engine_that_cannot_start_is_one_error(pair, vllm, monkeypatch):
    monkeypatch.setattr(sys.modules["vllm"], "LLM", lambda **_: (_ for _ in ()).throw(RuntimeError("no device")))
    with pytest.raises(GenerationError, match=r"could not start.*no device"):
        write(pair, ["tuned"])

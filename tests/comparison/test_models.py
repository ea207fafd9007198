"""Checkpoints answer the same tasks, each with its own tokenizer, and are compared."""

import numpy as np
import pytest

from slr_probe import ModelPair, Recipe, compare, generate, restore
from slr_probe.comparison import InPair, compare_models
from slr_probe.errors import CheckpointError, LayerRangeError, OutputError, ValidationError
from slr_probe.generation import Sampling
from slr_probe.tasks.text import Item, TextTask

TASK = TextTask("own", "own", tuple(Item(f"w{i}", f"Write {i}") for i in range(4)), 6, 3, "test")
SAMPLING = Sampling(temperature=1.5, max_tokens=6)


@pytest.fixture(scope="module")
def folders(pair_of):
    pair = pair_of("llama")
    return {"base": pair.base, "tuned": pair.tuned}


def test_it_is_the_comparison_of_what_each_writes_by_itself(folders, tmp_path):
    found = compare_models(folders, TASK, sampling=SAMPLING, device="cpu", out=tmp_path / "out")
    prompts = [(item.id, item.prompt) for item in TASK.items]
    written = {}
    for name, folder in folders.items():
        pair = ModelPair.load(folder, folder, device="cpu")
        written |= generate(pair, prompts, {name: "tuned"}, samples=3, sampling=SAMPLING)
    size = len(ModelPair.load(folders["base"], folders["base"]).tokenizer)
    expected = compare(written, TASK, vocabulary=size)
    assert found.models == ("base", "tuned")
    assert found.tasks == ("own",)
    assert found.metrics == expected.metrics
    np.testing.assert_array_equal(found.values, expected.values)
    assert {*folders} == {file.stem for file in (tmp_path / "out" / "outputs" / "own").rglob("*.jsonl")}


def test_models_of_other_architectures(pair_of):
    models = {family: pair_of(family).tuned for family in ("llama", "gemma3")}
    assert compare_models(models, TASK, sampling=SAMPLING, device="cpu").models == ("llama", "gemma3")


def test_one_model_is_in_memory_at_a_time(folders, monkeypatch):
    held = []

    def seen(pair, *asked, **how):
        held.append(pair)
        assert sum("tuned" in vars(one) for one in held[:-1]) == 0
        return generate(pair, *asked, **how)

    monkeypatch.setattr("slr_probe.scoring.answering.generate", seen)
    compare_models(folders, TASK, sampling=SAMPLING, device="cpu")
    assert len(held) == 2


def test_hybrids_in_memory_write_what_their_folders_write(folders, tmp_path):
    base, tuned = folders["base"], folders["tuned"]
    built = {name: restore(base, tuned, recipe, tmp_path / name) for name, recipe in (("a", "1:2"), ("b", "2:4"))}
    recipe = Recipe.restore("2:4", 4)
    named = {"tuned": InPair(base, tuned, "tuned"), "a": InPair(base, tuned, "1:2"), "b": InPair(base, tuned, recipe)}
    options = {"sampling": SAMPLING, "device": "cpu", "reference": "b"}
    found = compare_models(named, TASK, out=tmp_path / "out", **options)
    expected = compare_models({"tuned": tuned, **built}, TASK, **options)
    assert found.models == ("b", "tuned", "a")
    np.testing.assert_array_equal(found.values, expected.values)
    again = compare_models({**named, "b": InPair(base, tuned, "2:4")}, TASK, out=tmp_path / "out", **options)
    np.testing.assert_array_equal(again.values, found.values)
    with pytest.raises(OutputError, match="holds another run"):
        compare_models({**named, "b": InPair(base, tuned, "1:4")}, TASK, out=tmp_path / "out", **options)


def test_a_pair_is_opened_once_and_dropped_after_its_last_model(folders, monkeypatch):
    seen = []
    monkeypatch.setattr(ModelPair, "unload", lambda pair: seen.append(pair))
    hybrids = {name: InPair(*folders.values(), name) for name in ("1:2", "2:3", "soup:0.5")}
    compare_models(hybrids, TASK, sampling=SAMPLING, device="cpu")
    assert len(seen) == 1


def test_bad_models(folders, tmp_path):
    with pytest.raises(ValidationError, match="two models or more"):
        compare_models({"one": folders["base"]}, TASK)
    with pytest.raises(CheckpointError):
        compare_models({"one": folders["base"], "two": tmp_path / "absent"}, TASK)
    with pytest.raises(LayerRangeError):
        compare_models({"one": folders["base"], "two": InPair(*folders.values(), "3:9")}, TASK)

"""Results as they come: a killed sweep goes on, and never with other checkpoints, prompts or settings."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from slr_probe import ModelPair, Recipe
from slr_probe.errors import OutputError, SweepError
from slr_probe.sweep import SweepResult, sweep
from slr_probe.sweep import measure as measure_module
from slr_probe.sweep import run as run_module
from slr_probe.sweep.store import ChunkStore
from tests.sweep.naive import all_kinds, make_queries
from tests.tiny import edit_middle, rewrite_tensor

_CHILD = """
import os, sys, time
import torch
torch.set_num_threads(1)
from slr_probe import ModelPair
from slr_probe.sweep import prepare, sweep
from slr_probe.sweep.store import ChunkStore
from tests.sweep.naive import all_kinds, make_queries

prepare._KEPT_CPU = 1.0  # of this small a model, all would be one piece
append = ChunkStore.append
def slowly(self, *args):
    append(self, *args)
    print("saved", flush=True)
    time.sleep(60)
ChunkStore.append = slowly
pair = ModelPair.load(sys.argv[1], sys.argv[2])
sweep(pair, all_kinds(pair.depth), make_queries(), out=sys.argv[3])
"""


def test_a_sweep_killed_in_the_middle_gives_the_same_result(pair_of, tmp_path, monkeypatch):
    monkeypatch.setattr("slr_probe.sweep.prepare._KEPT_CPU", 1.0)
    folders = pair_of("gemma3_text").folders
    pair = ModelPair.load(*folders)
    recipes = all_kinds(pair.depth)
    whole = sweep(pair, recipes, make_queries(), out=tmp_path / "whole")

    out = tmp_path / "killed"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    arguments = [sys.executable, "-c", _CHILD, *map(str, folders), str(out)]
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "saved\n"
        child.send_signal(signal.SIGKILL)
    assert not (out / "sweep.npz").exists()
    assert len(list(out.glob("chunk-*.npz"))) == 1
    (out / ".chunk-0.npz.partial").write_bytes(b"half")

    ran = []
    original = measure_module.run_chunk
    monkeypatch.setattr(measure_module, "run_chunk", lambda *args: ran.append(args[1]) or original(*args))
    resumed = sweep(pair, recipes, make_queries(), out=out)
    done = sum(len(group.rows) for chunk in ran for group in chunk.groups)
    assert 0 < done < len(make_queries()), "finished prompts were run again"
    assert np.array_equal(resumed.invalid_tokens, whole.invalid_tokens)
    np.testing.assert_allclose(resumed.answer_logprobs, whole.answer_logprobs, atol=1e-6)


def test_small_work_is_kept_in_one_piece(pair_of, tmp_path, monkeypatch):
    """Many small pieces batch fewer prompts, which took half as long again, to save seconds."""
    pair = ModelPair.load(*pair_of("llama").folders)
    arguments = {"recipes": all_kinds(pair.depth), "task": make_queries()}
    one = sweep(pair, **arguments, out=tmp_path / "one")
    monkeypatch.setattr("slr_probe.sweep.prepare._KEPT_CPU", 1.0)
    many = sweep(pair, **arguments, out=tmp_path / "many")
    assert one.settings["chunks"] == 1 < many.settings["chunks"]
    np.testing.assert_allclose(one.answer_logprobs, many.answer_logprobs, atol=1e-6)


def test_a_damaged_chunk_is_measured_again(pair_of, tmp_path, monkeypatch):
    pair = ModelPair.load(*pair_of("llama").folders)
    arguments = {"recipes": ["1:2", "0:3"], "task": make_queries()}
    whole = sweep(pair, **arguments)
    with monkeypatch.context() as patch:
        patch.setattr(SweepResult, "save", interrupt)
        with pytest.raises(KeyboardInterrupt):
            sweep(pair, **arguments, out=tmp_path / "out")
    chunk = min((tmp_path / "out").glob("chunk-*.npz"))
    chunk.write_bytes(chunk.read_bytes()[:-30])
    found = sweep(pair, **arguments, out=tmp_path / "out")
    np.testing.assert_allclose(found.answer_logprobs, whole.answer_logprobs, atol=1e-6)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["manifest.json", "sweep.npz"]


def interrupt(*_):
    raise KeyboardInterrupt


def test_a_second_sweep_into_the_folder_is_refused(pair_of, tmp_path, monkeypatch):
    pair = ModelPair.load(*pair_of("llama").folders)
    arguments = {"recipes": ["1:2"], "task": make_queries(), "out": tmp_path / "out"}
    append = ChunkStore.append

    def beside(self, *given):
        with pytest.raises(OutputError, match="in use by another process"):
            sweep(pair, **arguments)
        append(self, *given)

    monkeypatch.setattr(ChunkStore, "append", beside)
    assert sweep(pair, **arguments).recipes


def test_a_finished_sweep_is_read_and_not_run(pair_of, tmp_path, monkeypatch):
    pair = ModelPair.load(*pair_of("llama").folders)
    first = sweep(pair, ["1:2", "0:3"], make_queries(), out=tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["manifest.json", "sweep.npz"]
    monkeypatch.setattr(run_module, "prepare", None)
    again = sweep(pair, ["1:2", "0:3"], make_queries(), out=tmp_path / "out")
    assert np.array_equal(first.answer_logprobs, again.answer_logprobs)
    assert again.recipes == first.recipes
    assert repr(again) == repr(first)


def test_a_checkpoint_that_changed_is_an_error_that_names_it(own_pair, tmp_path):
    pair = own_pair("llama")
    sweep(ModelPair.load(*pair.folders), ["1:2"], make_queries(), out=tmp_path / "out")
    rewrite_tensor(pair.base, "model.layers.2.mlp.up_proj.weight", lambda t: t + 1)
    with pytest.raises(SweepError, match="base checkpoint changed"):
        sweep(ModelPair.load(*pair.folders), ["1:2"], make_queries(), out=tmp_path / "out")


def test_a_byte_in_the_middle_of_a_tensor_is_noticed(own_pair, tmp_path):
    pair = own_pair("llama_tied")
    sweep(ModelPair.load(*pair.folders), ["1:2"], make_queries(), out=tmp_path / "out")
    edit_middle(pair.tuned)
    with pytest.raises(SweepError, match="tuned checkpoint changed"):
        sweep(ModelPair.load(*pair.folders), ["1:2"], make_queries(), out=tmp_path / "out")


def test_a_config_that_changed_is_an_error_that_names_the_side(own_pair, tmp_path):
    pair = own_pair("llama")
    sweep(ModelPair.load(*pair.folders), ["1:2"], make_queries(), out=tmp_path / "out")
    for folder in pair.folders:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 0.5}))
    with pytest.raises(SweepError, match=r"base and tuned checkpoint changed.*weights or its config"):
        sweep(ModelPair.load(*pair.folders), ["1:2"], make_queries(), out=tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"recipes": ["0:2"]}, "recipes"),
        ({"task": make_queries()[:3]}, "prompts"),
        ({"temperature": 0.5}, "measure"),
        ({"dtype": "bfloat16"}, "compute"),
    ],
)
def test_a_folder_of_another_sweep_is_refused(pair_of, tmp_path, change, word):
    pair = ModelPair.load(*pair_of("llama").folders)
    arguments = {"recipes": ["1:2"], "task": make_queries()}
    sweep(pair, **arguments, out=tmp_path / "out")
    with pytest.raises(SweepError, match=f"another sweep: {word}.* was .* and is now"):
        sweep(pair, **{**arguments, **change}, out=tmp_path / "out")


def test_a_folder_with_other_files_is_refused(pair_of, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    pair = ModelPair.load(*pair_of("llama").folders)
    with pytest.raises(SweepError, match="not empty"):
        sweep(pair, ["1:2"], make_queries(), out=tmp_path)


def test_memory_limit_and_streaming_may_change_between_runs(pair_of, tmp_path):
    pair = ModelPair.load(*pair_of("llama").folders)
    first = sweep(pair, ["1:2"], make_queries(), out=tmp_path / "out", memory="1GB")
    assert np.array_equal(
        sweep(pair, ["1:2"], make_queries(), out=tmp_path / "out", stream=True).answer_logprobs, first.answer_logprobs
    )


def test_a_result_on_disk_is_the_result(pair_of, tmp_path):
    pair = ModelPair.load(*pair_of("llama").folders)
    recipes = [Recipe.restore("1:2", pair.depth), Recipe.ramp(0.1, 0.5, pair.depth)]
    result = sweep(pair, recipes, make_queries())
    loaded = SweepResult.load(result.save(tmp_path / "result.npz"))
    assert loaded.recipes == tuple(recipes)
    assert json.dumps(loaded.settings) == json.dumps(result.settings)
    for name in ("answer_logprobs", "sizes", "invalid_tokens", "invalid_logprobs", "validity", "entropy", "diversity"):
        assert np.array_equal(getattr(loaded, name), getattr(result, name))
    frame = loaded.to_dataframe()
    assert len(frame) == len(recipes) * len(make_queries())
    assert frame.loc[0, ["start", "stop"]].tolist() == [1, 2]
    assert frame["start"].isna().sum() == len(make_queries())
    assert loaded.index("1:2") == 0
    assert "2 recipes" in repr(loaded)
    assert "<table" in loaded._repr_html_()

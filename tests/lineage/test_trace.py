"""The whole of `trace_lineage` on random models on disk."""

import numpy as np
import pandas as pd
import pytest

from slr_probe import ModelPair, logit_lens, weight_delta
from slr_probe.errors import CheckpointError, IncompatiblePairError, LineageError, OutputError
from slr_probe.generation import Sampling, generate
from slr_probe.lineage import Lineage, lineage_from_outputs, lineage_from_scores, trace_lineage
from slr_probe.tasks.text import Item, TextTask
from tests.tiny import write_checkpoint
from tests.tiny_tokenizer import make_tokenizer

WRITE = TextTask("write", "writing", tuple(Item(f"w{i}", f"Write {i}") for i in range(5)), 6, 3, "test")


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    root = tmp_path_factory.mktemp("stages")
    for seed, name in enumerate(("base", "sft", "dpo"), 1):
        folder = write_checkpoint(root / name, "llama", seed=seed)
        make_tokenizer().save_pretrained(folder)
    return [(name, str(root / name)) for name in ("base", "sft", "dpo")]


@pytest.fixture(scope="module")
def traced(stages, tmp_path_factory):
    out = tmp_path_factory.mktemp("lineage") / "out"
    return out, trace_lineage(stages, WRITE, samples=3, out=out, resamples=200, device="cpu")


def test_scores_are_those_of_the_outputs(traced, stages):
    _, lineage = traced
    drawn = Sampling(temperature=0.6, top_p=0.95, max_tokens=6)
    asked = [(item.id, item.prompt) for item in WRITE.items]
    pairs = {name: ModelPair.load(stages[0][1], folder) for name, folder in stages[1:]}
    outputs = [("base", generate(pairs["sft"], asked, {"base": "base (plain)"}, samples=3, sampling=drawn)["base"])]
    for name, pair in pairs.items():
        outputs.append((name, generate(pair, asked, {name: "tuned"}, samples=3, sampling=drawn)[name]))
    size = lineage.settings["scorers"]["vocabulary"]
    expected = lineage_from_outputs(outputs, WRITE, vocabulary=size, resamples=200)
    assert expected.metrics == lineage.metrics
    np.testing.assert_array_equal(expected.values, lineage.values)
    pd.testing.assert_frame_equal(expected.stage_loss, lineage.stage_loss)


def test_layers_are_those_of_the_probes(traced, stages):
    _, lineage = traced
    paths = dict(stages)
    for at, (one, two) in enumerate((("base", "sft"), ("sft", "dpo")), 1):
        table = weight_delta(paths[one], paths[two], spectral="none").to_dataframe(by="block")
        np.testing.assert_allclose(lineage.weight_previous[at], table["relative"], rtol=1e-12)
    assert (lineage.weight_base[1] == lineage.weight_previous[1]).all()
    assert (lineage.weight_base[2] != lineage.weight_previous[2]).all()
    prompts = [item.prompt for item in WRITE.items]
    trace = logit_lens(ModelPair.load(paths["base"], paths["dpo"]), prompts)
    np.testing.assert_allclose(lineage.collapse("dpo").estimate, trace.collapse().estimate, rtol=1e-6)
    added = lineage.collapse("dpo", previous=True).estimate + lineage.collapse("sft").estimate
    np.testing.assert_allclose(added, lineage.collapse("dpo").estimate, atol=1e-9)
    assert any("tasks' prompts" in note for note in lineage.notes)  # CRC does not fit this tokenizer


def test_the_folder_is_complete_and_goes_on(traced, stages, monkeypatch):
    out, lineage = traced
    assert not (out / "INCOMPLETE").exists()
    assert repr(Lineage.load(out / "lineage.npz")) == repr(lineage)
    before = (out / "lineage.npz").read_bytes()
    monkeypatch.setattr("slr_probe.generation.calls.call.Call.lines", lambda *_: pytest.fail("generated again"))
    monkeypatch.setattr("slr_probe.probes.lens.lens.logit_lens", lambda *_, **__: pytest.fail("measured again"))
    told = []
    log = lambda numbers, step: told.append((step, numbers["lineage/write/ead"]))  # noqa: E731
    trace_lineage(stages, WRITE, samples=3, out=out, resamples=200, device="cpu", log=log)
    assert told == list(enumerate(lineage.diversity("write", "ead").estimate))
    assert (out / "lineage.npz").read_bytes() == before
    assert (out / "depth.csv").read_text().count("\n") == 1 + 2 * 4
    with pytest.raises(OutputError, match=r"holds another run: .*sampling\.temperature was 0.6 and is now 1.0"):
        trace_lineage(stages, WRITE, samples=3, out=out, device="cpu", sampling=Sampling(temperature=1.0))


def test_blocks_give_the_same_lineage(traced, stages):
    _, lineage = traced
    found = trace_lineage(stages, WRITE, samples=3, resamples=200, device="cpu", depth=False, executor="local")
    np.testing.assert_array_equal(found.values, lineage.values)


def test_a_stage_equal_to_the_one_before_lost_nothing(stages):
    """Base asked in the chat format, and twice the same checkpoint: every loss of the second stage is exactly 0."""
    same = [stages[0], stages[1], ("again", stages[1][1])]
    lineage = trace_lineage(same, WRITE, samples=3, resamples=50, plain_base=False, device="cpu")
    change = lineage.change()
    assert change.loss.estimate[0, 1] == change.loss.low[0, 1] == change.loss.high[0, 1] == 0
    assert (lineage.weight_previous[2] == 0).all()
    assert np.abs(lineage.collapse("again", previous=True).estimate).max() == 0


def test_branches(stages):
    branches = {"other": [stages[2]]}
    options = {"samples": 3, "resamples": 50, "depth": False, "device": "cpu"}
    lineage = trace_lineage(stages[:2], WRITE, branches=branches, **options)
    assert lineage.stages == ("base", "sft", "other/dpo")
    assert lineage.parents == (-1, 0, 0)
    assert not lineage.has_depth
    with pytest.raises(LineageError, match="nothing is known of its layers"):
        lineage.collapse("sft")


def test_few_prompts_are_said_to_be_exploratory_and_a_table_of_means_is_not(traced):
    assert "exploratory" in repr(traced[1])
    table = pd.DataFrame({"base": [0.8, 0.5], "sft": [0.4, 0.4]}, index=["writing", "qa"])
    assert "exploratory" not in repr(lineage_from_scores(table))


def test_figure_shows_when_and_where(traced):
    _, lineage = traced
    figure = lineage.plot()
    labels = [axis.get_title() for axis in figure.axes]
    assert "weight change of each stage" in labels
    assert "entropy collapse (logit lens)" in labels
    (axis,) = (axis for axis in figure.axes if axis.get_title().startswith("entropy"))
    np.testing.assert_allclose(axis.lines[1].get_ydata(), lineage.collapse("dpo").estimate)


def test_bad_stages_fail_before_anything_is_generated(stages, tmp_path):
    with pytest.raises(LineageError, match="at least two stages"):
        trace_lineage(stages[:1], WRITE)
    with pytest.raises(CheckpointError):
        trace_lineage([*stages, ("rl", str(tmp_path / "absent"))], WRITE, out=tmp_path / "out")
    other = write_checkpoint(tmp_path / "gpt2", "gpt2", seed=1)
    with pytest.raises(IncompatiblePairError):
        trace_lineage([*stages, ("rl", str(other))], WRITE, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()

import numpy as np
import pandas as pd
import pytest

from slr_probe.errors import LineageError, ResultError
from slr_probe.lineage import lineage_from_outputs, lineage_from_scores
from slr_probe.stats import ratio_interval
from slr_probe.stats.diversity import ead
from tests.lineage.stages import STAGES

PAPER = pd.DataFrame(
    {"base": [0.8, 0.5, 0.4], "sft": [0.4, 0.3, 0.1], "dpo": [0.2, 0.35, 0.1]}, index=["writing", "qa", "code"]
)


def test_worked_example():
    found = lineage_from_scores(PAPER)
    assert found.stage_loss.index.tolist() == ["writing", "qa", "code"]
    assert found.stage_loss.columns.tolist() == ["sft", "dpo"]
    np.testing.assert_allclose(found.stage_loss, [[-50, -25], [-40, 10], [-75, 0]], atol=1e-9)
    np.testing.assert_allclose(found.retained, [[50, 25], [60, 70], [25, 25]], atol=1e-9)
    np.testing.assert_allclose(found.mean_stage_loss, [-55, -5], atol=1e-9)
    np.testing.assert_allclose(found.mean_retained, [45, 40], atol=1e-9)
    assert np.isnan(found.change().loss.low).all()  # means alone have no interval
    assert "writing" in repr(found)
    assert "nan" not in repr(found)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([1, 2], "expected a pandas DataFrame, rows tasks and columns stages; got list"),
        (PAPER[["base"]], "at least two stages"),
        (PAPER.assign(base=[0.8, 0.0, 0.4]), "base .'base'. has 0 on task 'qa'"),
        (PAPER.assign(base=[0.8, np.nan, 0.4]), "stage 'base' on task 'qa' is nan"),
        (PAPER.assign(sft=[0.8, 0.1, np.inf]), "stage 'sft' on task 'code' is inf"),
        (PAPER.assign(sft=["a", "b", "c"]), "numbers only"),
        (PAPER.iloc[:0], "needs rows"),
        (pd.concat([PAPER, PAPER]), "a name of its own"),
    ],
)
def test_bad_tables(table, message):
    with pytest.raises(LineageError, match=message):
        lineage_from_scores(table)


def test_outputs_alone():
    found = lineage_from_outputs(STAGES, vocabulary=1000)
    assert found.metric == "ead"
    base, sft, dpo = (np.array([ead(texts, 1000) for texts in one.texts]) for _, one in STAGES)
    loss = found.stage_loss.loc["outputs"]
    assert loss["sft"] == pytest.approx(100 * (sft.mean() - base.mean()) / base.mean(), rel=1e-9)
    assert loss["dpo"] == pytest.approx(100 * (dpo.mean() - sft.mean()) / base.mean(), rel=1e-9)
    expected = ratio_interval(100 * (dpo - sft)[None], base)
    change = found.change()
    assert change.loss.low[0, 1] == pytest.approx(float(expected.low[0]), rel=1e-9)
    assert change.loss.high[0, 1] == pytest.approx(float(expected.high[0]), rel=1e-9)
    assert loss["sft"] < -10
    assert not found.has_depth


def test_without_a_vocabulary_there_is_no_ead():
    found = lineage_from_outputs(STAGES)
    assert found.metric == "distinct_2"
    assert "ead" not in found.metrics


def test_branches_start_at_base():
    found = lineage_from_outputs(
        STAGES[:2], vocabulary=1000, branches={"think": [("sft", STAGES[2][1]), ("rl", STAGES[1][1])]}
    )
    assert found.stages == ("base", "sft", "think/sft", "think/rl")
    assert found.parents == (-1, 0, 0, 2)
    loss, kept = found.stage_loss.loc["outputs"], found.retained.loc["outputs"]
    assert 100 + loss["think/sft"] + loss["think/rl"] == pytest.approx(kept["think/rl"])
    assert kept["think/rl"] == pytest.approx(kept["sft"])


def test_thinking_does_not_count():
    thought = [(name, one.map(lambda text: f"<think>{len(text)} {hash(text)}</think>{text}")) for name, one in STAGES]
    plain, stripped = (lineage_from_outputs(one, vocabulary=1000) for one in (STAGES, thought))
    pd.testing.assert_frame_equal(plain.stage_loss, stripped.stage_loss)
    kept = lineage_from_outputs(thought, vocabulary=1000, tags=())
    assert kept.retained.loc["outputs", "dpo"] > stripped.retained.loc["outputs", "dpo"] + 5


def test_saved_files(tmp_path):
    stages = [(name, one.save(tmp_path / f"{name}.jsonl")) for name, one in STAGES]
    found = lineage_from_outputs(stages, vocabulary=1000)
    np.testing.assert_array_equal(found.values, lineage_from_outputs(STAGES, vocabulary=1000).values)
    lines = (tmp_path / "sft.jsonl").read_text().splitlines()
    (tmp_path / "sft.jsonl").write_text("\n".join([*lines[:3], "{not json", *lines[3:]]) + "\n")
    with pytest.raises(ResultError, match=r"sft\.jsonl, line 4"):
        lineage_from_outputs(stages)


def test_prompts_in_another_order_are_matched():
    turned = STAGES[1][1].select(STAGES[1][1].ids[::-1])
    found = lineage_from_outputs([STAGES[0], ("sft", turned)], vocabulary=1000)
    expected = lineage_from_outputs(STAGES[:2], vocabulary=1000)
    pd.testing.assert_frame_equal(found.stage_loss, expected.stage_loss)


def test_different_prompts_and_single_samples_are_refused():
    fewer = STAGES[1][1].select(STAGES[1][1].ids[:4])
    with pytest.raises(LineageError, match="different prompts on 'outputs': 'p4' is only in 'base'"):
        lineage_from_outputs([STAGES[0], ("sft", fewer)])
    with pytest.raises(LineageError, match="'sft' has 1 outputs for some prompt"):
        lineage_from_outputs([STAGES[0], ("sft", STAGES[1][1].select(STAGES[1][1].ids, 1))])
    with pytest.raises(LineageError, match="at least two stages"):
        lineage_from_outputs(STAGES[:1])
    with pytest.raises(LineageError, match="given twice"):
        lineage_from_outputs([*STAGES, STAGES[0]])
    with pytest.raises(LineageError, match="pairs of a name and a checkpoint"):
        lineage_from_outputs(["base", "sft"])


def test_stages_may_be_a_mapping():
    found, expected = lineage_from_outputs(dict(STAGES)), lineage_from_outputs(STAGES)
    pd.testing.assert_frame_equal(found.stage_loss, expected.stage_loss)
    with pytest.raises(LineageError, match="no metric 'vendi'"):
        lineage_from_outputs(STAGES, metric="vendi")


def test_fewer_samples_of_one_stage_are_matched_with_a_note():
    fewer = STAGES[1][1].select(STAGES[1][1].ids, 4)
    found = lineage_from_outputs([STAGES[0], ("sft", fewer)], vocabulary=1000)
    assert "the first 4 were used" in found.notes[0]
    expected = lineage_from_outputs(
        [("base", STAGES[0][1].select(STAGES[0][1].ids, 4)), ("sft", fewer)], vocabulary=1000
    )
    np.testing.assert_array_equal(found.values, expected.values)

"""`log=`: what a recording callable is told, beside what the results say."""

import math

import numpy as np
import pytest

from slr_probe import lineage_from_scores, rank_layers
from slr_probe.errors import SlrProbeError
from slr_probe.lineage.points import points as lineage_points
from slr_probe.log import check_log, tell
from slr_probe.rank.findings.points import points as ranking_points
from slr_probe.validation.points import points as validation_points
from tests.lineage.test_scores import PAPER
from tests.rank.conftest import pair, task
from tests.rank.planted import planted
from tests.validation.conftest import report_of

__all__ = ["pair", "report_of", "task"]


class Tracker(list):
    """Records what it is called with, in the order of `run.log` and `trackio.log`."""

    def __call__(self, numbers, step):
        self.append((numbers, step))


def test_undefined_numbers_are_left_out():
    tracker = Tracker()
    tell(tracker, [{"a": 1, "b": math.nan}, {"a": math.inf}, {"a": np.float32(0.5)}], first=3)
    assert tracker == [({"a": 1.0}, 3), ({"a": 0.5}, 5)]
    assert all(type(value) is float for numbers, _ in tracker for value in numbers.values())
    tell(None, [{"a": 1}])


def test_what_cannot_be_called_is_refused_before_any_work(pair):
    with pytest.raises(SlrProbeError, match=r"such as run.log; got 'wandb'"):
        check_log("wandb")
    with pytest.raises(SlrProbeError, match="log must be a callable"):
        rank_layers(pair, [], log=3)


def test_rank_logs_what_it_found(pair, task):
    tracker = Tracker()
    ranking = rank_layers(pair, task, soups=0, guards=None, resamples=50, log=tracker, progress=False)
    [(numbers, step)] = tracker
    row = ranking.to_dataframe().iloc[0]
    assert step == 0
    for name in ("start", "stop", "validity", "diversity", "gain", "p_best"):
        assert numbers[f"rank/{name}"] == pytest.approx(float(row[name]), abs=1e-12)
    assert numbers["rank/held_out/diversity"] == pytest.approx(row["held_diversity"], abs=1e-12)
    assert numbers["rank/chosen"] == (ranking.choice.layers is not None)


def test_a_ranking_without_held_out_prompts_has_no_such_numbers():
    ranking = planted(held_out=False)
    tracker = Tracker()
    tell(tracker, ranking_points(ranking, ranking.choice))
    assert not [name for name in tracker[0][0] if "held_out" in name]
    assert tracker[0][0]["rank/tuned_diversity"] == pytest.approx(0.3)


def test_validation_is_the_table(report_of):
    scores = {"tuned": [0.2, 0.4] * 4, "hybrid": [0.5, 0.7] * 4}
    report = report_of({"ead": scores, "follows": scores})
    [numbers] = validation_points(report)
    table = report.to_dataframe()
    for _, row in table.iterrows():
        assert numbers[f"validate/{row['task']}/{row['model']}/{row['metric']}"] == pytest.approx(row["mean"])
    assert sum(map(math.isfinite, numbers.values())) == len(table)


def test_lineage_is_a_point_a_stage():
    lineage = lineage_from_scores(PAPER)
    found = lineage_points(lineage)
    assert len(found) == len(lineage.stages)
    for stage, point in enumerate(found):
        for task_name in lineage.tasks:
            assert point[f"lineage/{task_name}/{lineage.metric}"] == lineage.diversity(task_name).estimate[stage]
    left = [point["lineage/retained (%)"] for point in found[1:]]
    np.testing.assert_allclose(left, lineage.mean_retained.to_numpy())
    assert "lineage/retained (%)" not in found[0]


def test_a_tensorboard_writer_takes_it(tmp_path):
    board = pytest.importorskip("torch.utils.tensorboard")
    writer = board.SummaryWriter(tmp_path)
    ranking = planted()
    tell(
        lambda numbers, step: [writer.add_scalar(*one, step) for one in numbers.items()],
        ranking_points(ranking, ranking.choice),
    )
    writer.close()
    assert any(file.stat().st_size > 200 for file in tmp_path.iterdir())

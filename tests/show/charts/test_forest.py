import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex

from slr_probe.show.charts.forest import plot_differences
from slr_probe.show.charts.marks import marks
from slr_probe.show.charts.style import COLOURS
from slr_probe.study.folder import Findings


@pytest.fixture(scope="module")
def few(done):
    """4 prompts: no intervals."""
    return Findings(done).validation


@pytest.fixture(scope="module")
def report(few):
    """The same prompts twice, which are enough for intervals."""
    ids = tuple((*names, *(f"{name} again" for name in names)) for names in few.prompt_ids)
    twice = {name: np.tile(getattr(few, name), 2) for name in ("values", "curves")}
    return replace(few, prompt_ids=ids, categories=tuple(kinds * 2 for kinds in few.categories), **twice)


def test_too_few_prompts_for_an_interval_say_the_difference_alone(few):
    said = list(marks(plot_differences(few)).values())
    assert len(said) == 2 * len(few.tasks) * (len(few.models) - 1)
    for text in said:
        assert re.fullmatch(r"difference [+-][\d.e-]+", text.splitlines()[2])
        assert text.splitlines()[3] == "not compared: fewer than 5 prompts"


def test_a_mark_says_each_difference(report):
    said = list(marks(plot_differences(report)).values())
    others = [model for model in report.models if model != "tuned"]
    assert len(said) == 2 * len(report.tasks) * len(others)
    table = report.to_dataframe().set_index(["task", "model", "metric"])
    for task, pair in zip(report.tasks, report.primary, strict=True):
        for model in others:
            for name in pair:
                row = table.loc[(task, model, name)]
                interval = f"[{row['difference_low']:.3g}, {row['difference_high']:.3g}]"
                wanted = f"difference {row['difference']:+.3g} {interval}"
                assert any(text.startswith(f"{model}, {task}\n") and wanted in text for text in said)


def test_green_and_red_need_an_interval_without_zero_and_for_the_hybrid_the_test(report):
    table = report.to_dataframe().set_index(["task", "model", "metric"])
    figure = plot_differences(report)
    panels = [(task, name) for task, pair in zip(report.tasks, report.primary, strict=True) for name in pair]
    for axis, (task, name) in zip(figure.axes, panels, strict=True):
        points = [line for line in axis.get_lines() if line.get_marker() == "o"]
        models = [*report.hybrids, *(m for m in report.models if m not in ("tuned", *report.hybrids))]
        for point, model in zip(points, models, strict=True):
            row = table.loc[(task, model, name)]
            assert float(point.get_xdata()[0]) == row["difference"]
            shown = row["difference_low"] > 0 or row["difference_high"] < 0
            if row["family"] == "primary":
                shown = shown and row["p_adjusted"] <= 0.05
            assert (to_hex(point.get_color()) in (COLOURS["soup"], COLOURS["tuned"])) == shown


def test_what_cannot_be_compared_has_no_mark(report):
    values = report.values.copy()
    values[0, report.model("tuned"), report.metrics.index(report.primary[0][0])] = np.nan
    said = marks(plot_differences(replace(report, values=values)))
    assert len(said) == 2 * len(report.tasks) * (len(report.models) - 1) - (len(report.models) - 1)

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure

from slr_probe import LayerRange, Recipe
from slr_probe.files import save_figure
from slr_probe.show import plot_ranking, plot_sweep
from slr_probe.sweep import SweepResult
from tests.rank.conftest import ranking_of  # noqa: F401 (a fixture)

SCORES = {
    "0:1": (0.98, 0.3),
    "0:2": (0.95, 0.5),
    "0:3": (0.4, 0.95),
    "1:2": (0.93, 0.6),
    "1:3": (0.91, 0.6),
    "2:3": (0.92, 0.4),
}


def test_maps_hold_every_range_in_its_place(ranking_of):  # noqa: F811
    found = ranking_of(3, SCORES, noise=0.01)
    figure = plot_ranking(found)
    first, second = figure.axes[:2]
    for axis, values in ((first, found.mean_validity), (second, found.mean_diversity)):
        (image,) = axis.get_images()
        grid = np.ma.filled(image.get_array(), np.nan)
        left, right, bottom, top = image.get_extent()
        assert (left, right, bottom, top) == (0.5, 3.5, 2.5, -0.5)
        for row, layers in enumerate(found.ranges):
            assert grid[layers.start, layers.stop - 1] == values[row]
        assert np.isnan(grid[2, 0])  # a reversed range
        assert axis.get_xlabel().startswith("stop")
        assert axis.get_ylabel().startswith("start")
        frame = axis.patches[-1]
        assert (frame.get_x() + 0.5, frame.get_y() + 0.5) == (found.best.stop, found.best.start)


def test_the_line_bounds_what_meets_the_floor(ranking_of):  # noqa: F811
    figure = plot_ranking(ranking_of(3, SCORES))
    lines = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    edges = {tuple(map(tuple, segment)) for segment in lines[0].get_segments()}
    # All but 0:3 meet it: no line between 0:1 and 0:2, one between 0:2 and 0:3.
    assert ((1.5, -0.5), (1.5, 0.5)) not in edges
    assert ((2.5, -0.5), (2.5, 0.5)) in edges
    everything = plot_ranking(ranking_of(3, SCORES, floor=0.1))
    assert not [c for c in everything.axes[0].collections if isinstance(c, LineCollection)]


def test_the_trade_off_shows_all_ranges_and_the_front(ranking_of):  # noqa: F811
    found = ranking_of(3, SCORES)
    axis = plot_ranking(found).axes[2]
    (points,) = [c for c in axis.collections if isinstance(c, PathCollection)]
    assert {tuple(p) for p in points.get_offsets().round(9).tolist()} == set(SCORES.values())
    labels = axis.get_legend_handles_labels()[1]
    assert {"tuned", "all blocks restored", "best 1:2", "Pareto front", "floor, 0.9 x tuned"} <= set(labels)
    front = next(line for line in axis.get_lines() if line.get_label() == "Pareto front")
    assert len(front.get_xdata()) == len(found.pareto())


def test_cheap_methods_show_block_scores(ranking_of):  # noqa: F811
    found = ranking_of(3, {"2:3": (0.95, 0.4)}, method="delta", score=[3.0, 5.0, 1.0, 4.0, 2.0, 6.0])
    figure = plot_ranking(found)
    assert "block score" in figure.axes[0].get_ylabel()
    (image,) = figure.axes[1].get_images()
    assert np.ma.filled(image.get_array(), np.nan)[2, 2] == 6.0


def test_nothing_meets_the_floor(ranking_of):  # noqa: F811
    low = {name: (validity - 0.5, diversity) for name, (validity, diversity) in SCORES.items()}
    figure = plot_ranking(ranking_of(3, low))
    assert "floor not met" in figure.get_suptitle()


def test_figures_are_written_alike(ranking_of, tmp_path):  # noqa: F811
    found = ranking_of(3, SCORES, prompts=1)  # no intervals
    files = [save_figure(found.plot(), tmp_path / name / "figure") for name in ("one", "other")]
    for one, other in zip(*files, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert one.stat().st_size > 5000


def test_sweep():
    ranges = LayerRange.all(3)
    recipes = (*(Recipe.restore(r, 3).to_dict() for r in ranges), Recipe.soup(0.5, 3).to_dict())
    logs = np.log(np.random.default_rng(0).dirichlet(np.ones(4), size=(7, 5)))[..., :3]
    result = SweepResult(logs, np.full(5, 3), np.zeros((7, 5, 1), int), np.zeros((7, 5, 1)), recipes)
    figure = plot_sweep(result)
    assert isinstance(figure, Figure)
    for axis, values in zip(figure.axes[:2], (result.validity, result.diversity), strict=True):
        grid = np.ma.filled(axis.get_images()[0].get_array(), np.nan)
        for row, layers in enumerate(ranges):
            assert grid[layers.start, layers.stop - 1] == pytest.approx(values[row].mean())


def test_the_trade_off_alone_has_bars_on_both_kinds_of_prompts(ranking_of):  # noqa: F811
    from slr_probe.show import plot_trade_off

    found = ranking_of(3, SCORES, noise=0.01)
    assert len(plot_trade_off(found).axes) == 2  # one panel and its colour bar
    found = replace(found, held_validity=found.validity - 0.1, held_diversity=found.diversity + 0.1)
    best = int(found.order[0])
    for axis, shift in zip(plot_trade_off(found).axes[:2], (0.0, 0.1), strict=True):
        assert ("held-out" in axis.get_title()) == (shift > 0)
        (star,) = [line.get_xydata()[0] for line in axis.get_lines() if line.get_marker() == "*"]
        np.testing.assert_allclose(star, [found.mean_validity[best] - shift, found.mean_diversity[best] + shift])
        assert axis.containers  # intervals


def test_maps_alone_need_every_range(ranking_of):  # noqa: F811
    from slr_probe.errors import RankingError
    from slr_probe.show import plot_maps

    assert len(plot_maps(ranking_of(3, SCORES)).axes) == 4  # two maps, two colour bars
    with pytest.raises(RankingError, match="did not measure every range"):
        plot_maps(ranking_of(3, {"0:1": (0.9, 0.5)}, method="delta", score=[1.0] * 6))

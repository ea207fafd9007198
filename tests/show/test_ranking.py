from dataclasses import replace

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from slr_probe import LayerRange, Recipe
from slr_probe.files import save_figure
from slr_probe.rank.frontier import TEMPERATURES
from slr_probe.show.charts.maps import plot_map, plot_maps
from slr_probe.show.charts.marks import marks
from slr_probe.show.charts.style import draw_box
from slr_probe.show.charts.tradeoff import plot_trade_off
from slr_probe.show.ranking import figure as plot_ranking
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


def cells_of(axis):
    """The colour of every cell of a heat map, by start and stop."""
    return {(cell.get_y() + 0.5, cell.get_x() + 0.5): cell.get_facecolor() for cell in axis.patches if cell.get_fill()}


def test_maps_hold_every_range_in_its_place(ranking_of):  # noqa: F811
    found = ranking_of(3, SCORES, noise=0.01)
    figure = plot_ranking(found)
    for axis, values in zip(figure.axes, (found.mean_validity, found.mean_diversity), strict=False):
        cells, values = cells_of(axis), values[:6]
        colours = colormaps["viridis"]((values - values.min()) / np.ptp(values))
        assert cells == {
            (layers.start, layers.stop): tuple(colour) for layers, colour in zip(found.ranges, colours, strict=True)
        }
        assert axis.get_xlim() == (0.5, 3.5)
        assert axis.get_ylim() == (2.5, -0.5)  # the first block is above
        assert axis.get_xlabel().startswith("stop")
        assert axis.get_ylabel().startswith("start")
        frame = axis.patches[-1]
        assert (frame.get_x() + 0.5, frame.get_y() + 0.5) == (found.best.stop, found.best.start)


def test_marks_name_every_cell_and_point_and_say_its_values(ranking_of):  # noqa: F811
    found = ranking_of(3, SCORES, noise=0.01)
    said = marks(plot_ranking(found))
    others = [kind for kind in found.kinds if kind != "range"]
    assert len(said) == 3 * len(found.ranges) + len(others)
    for row, layers in enumerate(found.ranges):
        words = said[f"validity-{layers}"]
        assert words == said[f"diversity-{layers}"] == said[f"trade-off-{layers}"]
        assert words.startswith(f"blocks {layers}" + ("" if found.feasible[row] else " (below the floor)") + "\n")
        for what, values in (("validity", found.mean_validity), ("diversity", found.mean_diversity)):
            limits, tuned = found.interval(what), values[found.rows("tuned")[0]]
            interval = f"[{limits.low[row]:.3f}, {limits.high[row]:.3f}]"
            assert f"\n{what} {values[row]:.3f} {interval}, tuned {tuned:.3f}" in words
    tuned = said[f"trade-off-tuned-{found.rows('tuned')[0]}"]
    assert tuned.startswith("tuned\nvalidity")
    assert ", tuned" not in tuned


def test_what_was_not_measured_has_no_mark(ranking_of):  # noqa: F811
    found = ranking_of(3, {"2:3": (0.95, 0.4)}, method="delta", score=[3.0, 5.0, 1.0, 4.0, 2.0, 6.0])
    assert list(marks(plot_map(found, "validity"))) == ["validity-2:3"]
    assert [name for name in marks(plot_trade_off(found)) if ":" in name] == ["trade-off-2:3"]


@pytest.mark.parametrize(("chosen", "star"), [("best", "1:2"), ("0:1", "0:1"), (None, None)])
def test_the_chosen_range_is_framed_and_has_a_star(ranking_of, chosen, star):  # noqa: F811
    found = ranking_of(3, SCORES)
    frames = [p for p in plot_map(found, "diversity", chosen=chosen).axes[0].patches if not p.get_fill()]
    places = {(int(p.get_y() + 0.5), int(p.get_x() + 0.5)) for p in frames}
    assert {f"{start}:{stop}" for start, stop in places} == ({star} if star else set())
    axis = plot_trade_off(found, chosen=chosen).axes[0]
    assert [line.get_gid() for line in stars(axis)] == ([f"trade-off-{star}"] if star else [])


def stars(axis):
    return [line for line in axis.get_lines() if line.get_marker() == "*" and len(line.get_xdata())]


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
    points = [line for line in axis.get_lines() if str(line.get_gid()).endswith(tuple(SCORES))]
    assert {tuple(line.get_xydata()[0].round(9).tolist()) for line in points} == set(SCORES.values())
    labels = axis.get_legend_handles_labels()[1]
    assert {"tuned", "all blocks restored", "best 1:2", "Pareto front", "floor, 0.9 x tuned"} <= set(labels)
    front = next(line for line in axis.get_lines() if line.get_label() == "Pareto front")
    assert len(front.get_xdata()) == len(found.pareto())


def test_cheap_methods_show_block_scores(ranking_of):  # noqa: F811
    found = ranking_of(3, {"2:3": (0.95, 0.4)}, method="delta", score=[3.0, 5.0, 1.0, 4.0, 2.0, 6.0])
    figure = plot_ranking(found)
    assert "block score" in figure.axes[0].get_ylabel()
    assert cells_of(figure.axes[1])[2, 3] == colormaps["viridis"](1.0)


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
    figure = result.plot()
    assert isinstance(figure, Figure)
    for axis, values in zip(figure.axes[:2], (result.validity, result.diversity), strict=True):
        cells, means = cells_of(axis), values.mean(axis=1)[: len(ranges)]
        colours = colormaps["viridis"]((means - means.min()) / np.ptp(means))
        assert cells == {(r.start, r.stop): tuple(colour) for r, colour in zip(ranges, colours, strict=True)}


def test_the_trade_off_alone_has_bars_on_both_kinds_of_prompts(ranking_of):  # noqa: F811
    found = ranking_of(3, SCORES, noise=0.01)
    assert len(plot_trade_off(found).axes) == 2  # one panel and its colour bar
    found = replace(found, held_validity=found.validity - 0.1, held_diversity=found.diversity + 0.1)
    best = int(found.order[0])
    for axis, shift in zip(plot_trade_off(found).axes[:2], (0.0, 0.1), strict=True):
        assert ("held-out" in axis.get_title()) == (shift > 0)
        star = stars(axis)[0].get_xydata()[0]
        np.testing.assert_allclose(star, [found.mean_validity[best] - shift, found.mean_diversity[best] + shift])
        assert axis.containers  # intervals


def test_maps_alone_need_every_range(ranking_of):  # noqa: F811
    from slr_probe.errors import RankingError

    assert len(plot_maps(ranking_of(3, SCORES)).axes) == 2
    with pytest.raises(RankingError, match="did not measure every range"):
        plot_maps(ranking_of(3, {"0:1": (0.9, 0.5)}, method="delta", score=[1.0] * 6))


def test_a_curve_over_temperature_does_not_widen_the_frame(ranking_of):  # noqa: F811
    found = ranking_of(3, SCORES)
    tuned = int(found.rows("tuned")[0])
    far = np.linspace(0.01, 0.9, len(TEMPERATURES))[None, :, None]
    axes = [
        plot_trade_off(shown).axes[0]
        for shown in (found, replace(found, curve_rows=np.array([tuned]), curve_validity=far, curve_diversity=far))
    ]
    assert axes[0].get_xlim() == axes[1].get_xlim()
    assert any(label.startswith("tuned, T") for label in axes[1].get_legend_handles_labels()[1])


def test_what_lies_under_the_star_shows_through_and_random_sets_have_a_box(ranking_of):  # noqa: F811
    found = ranking_of(3, SCORES)
    axis = plot_trade_off(found).axes[0]
    assert 0 < to_rgba(stars(axis)[0].get_markerfacecolor())[3] < 1
    x, y = np.array([0.2, 0.6, 0.4]), np.array([0.1, np.nan, 0.5])
    draw_box(axis, x, y, "orange")
    box = axis.patches[-1]
    assert box.get_bbox().extents == pytest.approx([0.2, 0.1, 0.4, 0.5])
    draw_box(axis, x[:1], y[:1], "orange")
    assert axis.patches[-1] is box

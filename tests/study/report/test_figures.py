import re
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from slr_probe.study.report.heatmap import heat_map
from slr_probe.study.report.profile import Line, Panel, profile
from slr_probe.study.report.svg import Scale, around, el, num, path, viridis
from slr_probe.study.report.tradeoff import legend, trade_off
from tests.rank.planted import DEPTH, planted

SVG = "{http://www.w3.org/2000/svg}"


def parsed(figure):
    return ElementTree.fromstring(str(figure))


def titles(figure):
    return [node.text for node in parsed(figure).iter(f"{SVG}title")]


def test_the_colours_are_matplotlibs():
    exact = matplotlib.colormaps["viridis"]
    for share in np.linspace(0, 1, 57):
        ours = [int(viridis(float(share))[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        np.testing.assert_allclose(ours, exact(float(share))[:3], atol=0.02)


def test_ticks_are_round_and_inside():
    for low, high in ((0.03, 0.98), (-4.2, 17.0), (1e-6, 3e-6), (0.5, 0.5)):
        scale = Scale(low, high, 0, 100)
        ticks = scale.ticks(5)
        assert 2 <= len(ticks) <= 11
        assert all(scale.low - 1e-9 <= tick <= scale.high + 1e-9 for tick in ticks)
        steps = np.diff(ticks)
        np.testing.assert_allclose(steps, steps[0], rtol=1e-6)


def test_attributes_and_text_are_escaped():
    assert el("text", x=1.0, aria_label='"<&') == '<text x="1" aria-label="&quot;&lt;&amp;"/>'
    assert num(10.0) == "10"
    assert num(-0.004) in ("-0", "0")


def test_a_path_breaks_where_a_value_is_missing():
    assert path([(0, 0), (1, 1), (2, float("nan")), (3, 3)]) == "M0 0L1 1M3 3"
    assert around([float("nan")]) == (0.0, 1.0)


@pytest.mark.parametrize("what", ["validity", "diversity"])
def test_a_heat_map_has_a_cell_for_each_range_in_its_place(what):
    ranking = planted()
    cells = [node for node in parsed(heat_map(ranking, what, "1:3")).iter(f"{SVG}rect") if node.get("class") == "cell"]
    assert [cell.get("data-range") for cell in cells] == [str(layers) for layers in ranking.ranges]
    values = ranking.mean_validity if what == "validity" else ranking.mean_diversity
    for cell, layers, value in zip(cells, ranking.ranges, values, strict=False):
        assert f"{what} {value:.3f} [" in cell[0].text
        size = float(cell.get("width"))
        assert float(cell.get("x")) == pytest.approx(46 + (layers.stop - 1) * size, abs=0.02)
        assert float(cell.get("y")) == pytest.approx(8 + layers.start * size, abs=0.02)
    brightest = max(range(len(cells)), key=lambda i: values[i])
    assert cells[brightest].get("fill") == viridis(1.0)


def test_the_floor_line_goes_around_the_ranges_that_keep_it():
    ranking = planted()
    assert ranking.feasible[: len(ranking.ranges)].sum() == 1  # one cell: four sides
    line = next(n for n in parsed(heat_map(ranking, "validity", "1:3")).iter(f"{SVG}path")
                if n.get("class") == "floor-in")  # fmt: skip
    assert len(re.findall("M", line.get("d"))) == 4


def test_the_trade_off_shows_every_row_once():
    ranking = planted()
    found = titles(trade_off(ranking, "1:3"))
    assert len(found) == len(ranking.kinds)
    assert any(title.startswith("tuned\nvalidity 0.800 [") for title in found)
    names = [name for _, name in legend(ranking, "1:3")]
    assert names[:3] == ["ranges below the floor", "chosen range, 1:3", "tuned"]
    assert "uniform soups" not in names


def test_rows_that_were_not_measured_are_left_out():
    ranking = planted()
    validity = ranking.validity.copy()
    validity[0] = np.nan
    some = replace(ranking, validity=validity)
    assert len(titles(trade_off(some, None))) == len(ranking.kinds) - 1
    assert len(titles(heat_map(some, "validity", None))) == len(ranking.ranges) - 1


def test_the_profile_shades_the_range_and_says_the_values():
    line = Line("mlp", "two", [0, 1, 2, 3], np.array([0.1, 0.2, np.nan, 0.4]), np.full(4, 0.05), np.full(4, 0.5))
    drawing = parsed(profile([Panel("one", [line]), Panel("two", [line])], DEPTH, "1:3"))
    shade = next(node for node in drawing.iter(f"{SVG}rect") if node.get("class") == "shade")
    assert float(shade.get("x")) == pytest.approx(62 + (534 - 62) / 4)
    assert float(shade.get("width")) == pytest.approx((534 - 62) / 2)
    said = [node.text for node in drawing.iter(f"{SVG}title")]
    assert said.count("block 1\nmlp 0.2 [0.05, 0.5]") == 2
    assert not [text for text in said if text.startswith("block 2")]

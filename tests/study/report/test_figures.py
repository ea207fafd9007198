"""Figures of the library in the page: nothing is lost but what other pages would need."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from slr_probe.show.charts.maps import plot_map
from slr_probe.show.charts.marks import mark, marks
from slr_probe.show.charts.style import COLOURS
from slr_probe.study.folder import Findings
from slr_probe.study.report import inline as module
from slr_probe.study.report.figures import heat_maps, profile, trade_off
from slr_probe.study.report.inline import inline
from tests.rank.planted import planted

SVG = "{http://www.w3.org/2000/svg}"


def parsed(drawing):
    return ElementTree.fromstring(str(drawing))


def titles(drawing):
    """What each mark says, by its name."""
    return {
        node.get("id"): node.find(f"{SVG}title").text
        for node in parsed(drawing).iter()
        if node.find(f"{SVG}title") is not None
    }


@pytest.fixture
def figure():
    figure = Figure(figsize=(3, 2))
    axis = figure.subplots()
    (line,) = axis.plot([0, 1], [0.2, 0.4], color=COLOURS["base"])
    mark(line, "line-0:2", "base\n0.2 & <more>")
    axis.fill_between([0, 1], [0, 0], [0.5, 0.6], color="black", alpha=0.2)
    axis.axvline(0.5, color="0.6")
    axis.text(0.1, 0.1, "bold", fontweight="bold", color="0.4")
    bar = axis.axvspan(0, 1, fill=False, linewidth=0)
    mark(bar, "bar", "a bar that nobody sees")
    return figure


def test_marks_have_their_names_and_say_what_they_show(figure):
    drawing = inline(figure, "plain", "A plain figure of one line")
    assert titles(drawing) == marks(figure) == {"line-0:2": "base\n0.2 & <more>", "bar": "a bar that nobody sees"}
    root = parsed(drawing)
    assert root.get("aria-label") == "A plain figure of one line"
    assert root.get("tabindex") == "0"
    assert root.get("class").split() == ["plot", "plain"]
    bar = next(node for node in root.iter() if node.get("id") == "bar")
    assert bar.get("pointer-events") == "all"  # or pointing at it would find nothing


def test_colours_follow_the_page(figure):
    drawing = str(inline(figure, "plain", "label"))
    line = next(node for node in parsed(drawing).iter() if node.get("id") == "line-0:2")
    assert line.get("stroke") == "var(--base)"
    assert 'stroke="var(--grey-4)"' in drawing
    assert 'fill="var(--grey-6)"' in drawing
    assert 'fill-opacity="0.2"' in drawing
    assert not re.search(r'(style|fill|stroke)="(#000000|#ffffff|[^"]*font-family)', drawing)


def test_the_style_sheet_sets_every_colour_for_light_and_dark():
    style = (Path(module.__file__).parent / "templates" / "report.css").read_text()
    for name in set(re.findall(r"var\(--([\w-]+)\)", " ".join(module._THEME.values()))):
        assert len(re.findall(rf"--{name}:#", style)) == 3, name  # light, dark and print
    assert len(re.findall(r"--grey-[1-9]:color-mix\(in srgb,var\(--ink\) [1-9]0%,var\(--paper\)\)", style)) == 9


def test_shapes_of_different_figures_have_different_ids():
    ids = [
        node.get("id") for drawing in heat_maps(planted(), "1:3") for node in parsed(drawing).iter() if node.get("id")
    ]
    assert len(set(ids)) == len(ids)


def test_a_figure_that_is_there_twice_has_other_ids(figure):
    one, other = inline(figure, "plain", "label"), inline(figure, "plain narrow", "label", prefix="narrow-")
    assert list(titles(other)) == [f"narrow-{name}" for name in titles(one)]
    assert list(titles(other).values()) == list(titles(one).values())


def test_every_shape_that_is_used_is_defined():
    for drawing in (*heat_maps(planted(), "1:3"), trade_off(planted(), "1:3")):
        root = parsed(drawing)
        ids = {node.get("id") for node in root.iter()}
        assert {node.get("href")[1:] for node in root.iter(f"{SVG}use")} <= ids
        assert set(re.findall(r"url\(#(\w+)\)", str(drawing))) <= ids


def test_the_same_figure_gives_the_same_text():
    one, other = (str(inline(plot_map(planted(), "validity"), "heat", "a map of all ranges")) for _ in range(2))
    assert one == other


def test_heat_maps_and_trade_off_have_a_mark_for_each_row():
    ranking = planted()
    names = [str(layers) for layers in ranking.ranges]
    for what, drawing in zip(("validity", "diversity"), heat_maps(ranking, "1:3"), strict=True):
        assert list(titles(drawing)) == [f"{what}-{name}" for name in names]
    said = titles(trade_off(ranking, "1:3"))
    assert len(said) == len(ranking.kinds)
    assert sum(words.startswith("tuned\nvalidity 0.800 [") for words in said.values()) == 1


def test_the_profile_is_left_out_where_nothing_was_measured(done):
    found = Findings(done)
    assert "Weight change" in profile(found, "0:1")
    found = Findings(done)
    found.run["stages"] = {}
    assert profile(found, None) is None

"""What is said and drawn of guards and of a warmer tuned, on a ranking whose numbers are planted."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from slr_probe.rank.frontier import TEMPERATURES
from slr_probe.rank.guards import Guards
from slr_probe.show import ranking as shown
from slr_probe.show.charts.maps import STRIPES
from slr_probe.show.words.plain import advice
from slr_probe.show.words.sentences import sentences
from tests.rank.guards.replies import table_of
from tests.rank.planted import planted


def guarded(ending_of_best, surprise_of_best=1.0):
    """The planted ranking of 1:3, which fails guards as its numbers say; tuned ends in 0.6 of its ends."""
    found = planted()
    ending, surprise = np.full(len(found.kinds), 0.6), np.ones(len(found.kinds))
    best = found.index("1:3")
    ending[best], surprise[best] = ending_of_best, surprise_of_best
    table = table_of(ending, surprise)
    prompts = found.prompts(held_out=False)
    curve = lambda first, last: np.tile(np.linspace(first, last, len(TEMPERATURES))[None, :, None], (1, 1, prompts))  # noqa: E731
    return replace(
        found,
        guards=Guards().to_dict(),
        reply_prompt=table.prompt,
        reply_place=table.place,
        reply_scores=table.scores,
        curve_rows=np.array([found.tuned]),
        curve_validity=curve(0.9, 0.4),
        curve_diversity=curve(0.2, 0.7),
    )


def test_no_range_names_temperature_everywhere():
    ranking = guarded(0.2)
    choice = ranking.choice
    assert choice.layers is None
    assert choice.excluded_by == ("ending",)
    warm = f"tuned at {ranking.warmest.temperature:.2f}"
    assert ranking.warmest.validity.mean() == pytest.approx(ranking.required_validity)
    for said in (repr(ranking), " ".join(sentences(ranking, choice)), advice(ranking, choice)):
        assert "se temperature" in said
        assert warm in said
    assert "1:3, which ending excludes" in repr(ranking)
    assert f"a bias of {ranking.end_bias().bias:+.2f} on the end tokens would bring its ending from 0.33" in repr(
        ranking
    )


def test_a_range_that_passes_is_restored():
    ranking = guarded(0.6)
    assert str(ranking.choice.layers) == "1:3"
    assert "use temperature" not in repr(ranking)
    assert "excludes" not in repr(ranking)


def test_the_table_has_a_column_of_what_excludes():
    ranking = guarded(0.2, 2.0)
    header, cells = shown.lines(ranking, 10)
    at = header.index("excluded by")
    column = {row[1]: row[at] for row in cells}
    assert column["1:3"] == "ending, surprise"
    assert column["0:1"] == "validity"
    frame = ranking.to_dataframe().set_index("recipe")
    row = frame.loc["restore 1:3 of 4"]
    assert (row["ending"], row["surprise"]) == pytest.approx((1 / 3, 2))
    assert "excluded by" not in shown.lines(planted(), 10)[0]


def test_stripes_lie_over_what_guards_exclude_and_nowhere_else():
    figure = guarded(0.2, 2.0).plot()
    first = figure.axes[0]
    striped = [patch for patch in first.patches if isinstance(patch, Rectangle) and patch.get_hatch()]
    assert {patch.get_hatch() for patch in striped} == {STRIPES["ending"], STRIPES["surprise"]}
    assert {patch.get_xy() for patch in striped} == {(2.5, 0.5)}  # stop 3, start 1
    assert not any(patch.get_hatch() for patch in guarded(0.6).plot().axes[0].patches)


def test_tuned_over_temperature_is_in_the_trade_off():
    ranking = guarded(0.6)
    axis = ranking.plot().axes[2]
    (line,) = (line for line in axis.get_lines() if str(line.get_label()).startswith("tuned, T"))
    np.testing.assert_allclose(line.get_xdata(), ranking.curve_validity[0].mean(axis=1))
    np.testing.assert_allclose(line.get_ydata(), ranking.curve_diversity[0].mean(axis=1))

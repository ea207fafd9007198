import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from slr_probe.errors import SlrProbeError
from slr_probe.show.charts.canvas import open_canvas

SIZE = (12.0, 6.0)


def test_panels_have_their_own_size_where_nothing_is_asked_for():
    canvas = open_canvas(5, 3, SIZE, ratios=(1, 1, 2))
    assert canvas.columns == 3
    assert len(canvas.axes) == 5
    figure = canvas.close("a title")
    assert figure.get_size_inches().tolist() == [12, 6]
    assert [axis.get_visible() for axis in figure.axes] == [True] * 5 + [False]
    assert figure.get_suptitle() == "a title"


@pytest.mark.parametrize(("width", "inches", "columns"), [("column", 3.3, 1), ("page", 6.9, 2), (14, 14.0, 3)])
def test_panels_go_below_each_other_where_they_would_be_too_narrow(width, inches, columns):
    canvas = open_canvas(6, 3, SIZE, width=width)
    assert canvas.columns == columns
    figure = canvas.close()
    across, down = figure.get_size_inches()
    assert across == pytest.approx(inches)
    assert across / columns / (down / (6 / columns)) == pytest.approx((12 / 3) / (6 / 2))  # panels keep their shape
    assert len(canvas.lowest) == columns


def test_rows_that_are_apart_are_repeated_for_each_column():
    canvas = open_canvas(4, 2, SIZE, width="column", heights=(2, 1))
    assert len(canvas.close().subfigs) == 4


def test_text_in_narrow_panels_is_smaller_and_follows_the_users_settings():
    with mpl.rc_context({"font.size": 20}):
        sizes = []
        for width in (None, "column"):
            canvas = open_canvas(2, 2, SIZE, width=width)
            canvas.axes[0].set_xlabel("block")
            canvas.axes[0].plot([0, 1], label="a line")
            canvas.legend(canvas.axes)
            figure = canvas.close("a long title " * 5)
            figure.draw_without_rendering()
            tick = canvas.axes[0].get_xticklabels()[0]
            sizes.append([canvas.axes[0].xaxis.label.get_fontsize(), tick.get_fontsize()])
        assert sizes == [[20, 20], [16, 16]]
        assert "\n" in figure.get_suptitle()


def test_a_figure_can_stand_in_the_place_of_axes():
    figure = Figure(figsize=(8, 8))
    above, below = figure.subplots(2, 1)
    canvas = open_canvas(2, 2, SIZE, ax=below, title="mine")
    assert canvas.close("own") is figure
    assert below not in figure.axes
    assert above in figure.axes
    assert len(figure.axes) == 3
    assert canvas.figure.get_suptitle() == "mine"
    with pytest.raises(SlrProbeError, match="no place in a grid"):
        open_canvas(1, 1, SIZE, ax=Figure().add_axes((0, 0, 1, 1)))


def test_no_title_and_wrong_widths():
    assert open_canvas(1, 1, SIZE, title="").close("own").get_suptitle() == ""
    for width in ("paper", 0, -1.0, float("nan")):
        with pytest.raises(SlrProbeError, match="'column', 'page' or inches"):
            open_canvas(1, 1, SIZE, width=width)


def test_several_panels_have_letters_and_a_single_one_has_none():
    def letters(panels):
        axes = open_canvas(panels, 2, SIZE).close().axes
        return [text.get_text() for axis in axes if axis.get_visible() for text in axis.texts]

    assert letters(3) == ["a", "b", "c"]
    assert letters(1) == []

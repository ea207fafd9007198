"""Where a figure is drawn: as large as its panels like, as wide as a column, or in the place of a user's axes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

from slr_probe.errors import SlrProbeError
from slr_probe.show.charts.style import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

WIDTHS = {"column": 3.3, "page": 6.9}
"""Inches of a column and of a page in most journals."""
_NARROWEST = 2.4
"""Inches of the narrowest panel; what does not fit beside the others goes below them."""
_FULL_TEXT = 3.6
"""Inches of the narrowest panel in which text has its full size."""
_SMALLER = 0.8
_TITLE, _LEGEND = 12, 20
"""Letters in an inch of a title and of a legend, where text is smaller."""
_HANDLE = 6
"""Letters that are as wide as the line beside a label of a legend."""


@dataclass(frozen=True)
class Canvas:
    """Panels to draw in.

    Attributes:
        figure: The figure, or the part of a user's figure in which the panels are.
        axes: One for each panel, row by row.
        columns: Panels beside each other.
        inches: Width of the whole.
        smaller: Whether panels are so narrow that text is smaller than the user's settings say.
        title: The title that was asked for; None for the figure's own.
    """

    figure: Figure | SubFigure
    axes: tuple[Axes, ...]
    columns: int
    inches: float
    smaller: bool
    title: str | None

    @property
    def lowest(self) -> tuple[Axes, ...]:
        """The panels that have no other below them."""
        return self.axes[-self.columns :]

    def legend(
        self, axes: Iterable[Axes], columns: int = 0, place: Any = "outside lower center", size: str = "small"
    ) -> None:
        """One legend for several panels; a label that several have is listed once.

        Args:
            axes: Panels whose labels are listed.
            columns: Labels beside each other, at most; default: all.
            place: Where the legend stands.
            size: Of its text, as matplotlib names it.
        """
        shown: dict[str, Any] = {}
        for axis in axes:
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
                shown.setdefault(label, handle)
        self.legend_of(shown, columns, place, size)

    def legend_of(
        self, shown: Mapping[str, Any], columns: int = 0, place: Any = "outside lower center", size: str = "small"
    ) -> None:
        """One legend of handles by label; arguments as of `legend`."""
        columns = columns or len(shown) or 1
        if self.smaller:
            longest = max(map(len, shown), default=1)
            columns = min(columns, max(1, int(self.inches * _LEGEND / (longest + _HANDLE))))
        look = {"frameon": False, "fontsize": size}
        self.figure.legend(list(shown.values()), list(shown), loc=place, ncols=columns, **look)

    def close(self, title: str = "") -> Figure:
        """Write the letters of several panels and the title, and give the whole figure back.

        Args:
            title: The figure's own title, used where no other was asked for.
        """
        for letter, axis in zip(ascii_lowercase, self.axes if len(self.axes) > 1 else (), strict=False):
            axis.annotate(
                letter,
                (0, 1),
                (-4, 4),
                xycoords="axes fraction",
                textcoords="offset points",
                ha="right",
                fontweight="bold",
            )
        text = title if self.title is None else self.title
        if text:
            self.figure.suptitle(textwrap.fill(text, int(self.inches * _TITLE)) if self.smaller else text)
        if self.smaller:
            _shrink_text(self.figure)
        return self.figure.figure


def open_canvas(
    panels: int,
    columns: int,
    size: tuple[float, float],
    *,
    ax: Axes | None = None,
    width: str | float | None = None,
    title: str | None = None,
    ratios: Sequence[float] | None = None,
    heights: Sequence[float] | None = None,
    **subplots: Any,
) -> Canvas:
    """Panels in rows.

    Args:
        panels: How many.
        columns: How many are beside each other where there is room.
        size: Inches of the whole, across and down, where nothing else is asked for.
        ax: Draw in the place of these axes, which a figure's `subplots` made.
        width: `"column"` (3.3 inches), `"page"` (6.9) or inches.
        title: Title; `""` for none, default: the figure's own.
        ratios: Relative widths of the columns.
        heights: Relative heights of the rows, each of which is then laid out by itself, so that long names in one do
            not squeeze another.
        **subplots: Further options of `Figure.subplots`.

    Raises:
        SlrProbeError: An unknown width, or axes without a place in a grid.
    """
    inches = _inches(ax, width) or size[0]
    fixed = inches != size[0]
    beside = max(1, min(columns, int(inches / _NARROWEST))) if fixed else columns
    rows = -(-panels // beside)
    shape = size[1] / -(-panels // columns) / (size[0] / columns)
    height = rows * inches / beside * shape if fixed else size[1]
    figure = _part(ax) if ax is not None else new_figure(inches, height)
    if beside == columns and ratios is not None:
        subplots["width_ratios"] = ratios
    if heights is None:
        axes = figure.subplots(rows, beside, squeeze=False, **subplots).ravel()
    else:
        ratio = [share for share in heights for _ in range(columns // beside)]
        parts = figure.subfigures(rows, 1, height_ratios=ratio, squeeze=False)[:, 0]
        axes = [axis for part in parts for axis in part.subplots(1, beside, squeeze=False, **subplots)[0]]
    for spare in axes[panels:]:
        spare.set_visible(False)
    smaller = fixed and inches / beside < _FULL_TEXT
    return Canvas(figure, tuple(axes[:panels]), beside, inches, smaller, title)


def _inches(ax: Axes | None, width: str | float | None) -> float | None:
    """The width that was asked for; None where none was."""
    if ax is not None:
        return float(ax.get_window_extent().width / ax.figure.dpi)
    if width is None:
        return None
    inches = WIDTHS.get(width) if isinstance(width, str) else width
    if inches is None or not inches > 0:
        raise SlrProbeError(f"width must be 'column', 'page' or inches above 0; got {width!r}")
    return inches


def _part(ax: Axes) -> SubFigure:
    """A part of the user's figure in the place of axes, which go."""
    place = ax.get_subplotspec()
    if place is None:
        raise SlrProbeError("these axes have no place in a grid; take axes that plt.subplots or Figure.subplots made")
    figure: Any = ax.figure
    if figure.get_layout_engine() is None:
        figure.set_layout_engine("constrained")
    ax.remove()
    part: SubFigure = figure.add_subfigure(place)
    return part


def _shrink_text(figure: Figure | SubFigure) -> None:
    from matplotlib.axis import Axis
    from matplotlib.text import Text

    texts: list[Any] = figure.findobj(Text)
    axes: list[Any] = figure.findobj(Axis)
    for text in texts:
        text.set_fontsize(_SMALLER * text.get_fontsize())
    for axis in axes:
        for label in axis.get_majorticklabels()[:1]:
            axis.set_tick_params(labelsize=label.get_fontsize())  # of ticks that are made when it is drawn

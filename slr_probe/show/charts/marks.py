"""Marks: the cells, points and bars of a figure that have a name and words, so that a page can point at them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure


def mark(artist: Artist, name: str, words: str) -> None:
    """Give an artist a name and say what it shows.

    An SVG file keeps the name as the id of the element. The words become the artist's label, behind an underscore,
    which keeps them out of legends.

    Args:
        artist: A cell, a point or a bar.
        name: Its name, once in a figure. What shows a range ends with it, such as `"validity-8:14"`.
        words: What it shows, with values; the first line is its title.
    """
    artist.set_gid(name)
    artist.set_label(f"_{words}")


def marks(figure: Figure) -> dict[str, str]:
    """The words of every mark of a figure, by name.

    Examples:
        >>> from matplotlib.figure import Figure
        >>> figure = Figure()
        >>> mark(figure.subplots().axhline(0), "zero", "no change")
        >>> marks(figure)
        {'zero': 'no change'}
    """
    named = figure.findobj(lambda artist: artist.get_gid() is not None)
    return {str(artist.get_gid()): str(artist.get_label())[1:] for artist in named}

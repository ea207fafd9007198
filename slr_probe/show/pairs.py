"""A `PairTable` as text, table and figure: where in depth the best range lies, and what it brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slr_probe.show.charts.canvas import open_canvas
from slr_probe.show.charts.style import COLOURS, grid, percent
from slr_probe.show.words.format import aligned, html_table, html_text, number, with_limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from slr_probe.rank.across import PairTable

_HEAD = ["pair", "layers", "depth", "gain", "validity kept", "excluded by guards", "found by"]
_SOLID, _FAINT = 1.0, 0.45


def text(table: PairTable) -> str:
    """A line a pair, then the reasons of those that have no range."""
    rows = [_cells(row) for row in table.rows if row.get("layers")]
    lines = [f"PairTable: {len(table.rows)} pairs, {len(rows)} with a range to restore"]
    if rows:
        lines.append(aligned([_HEAD, *rows], left=(0, 1, 5, 6)))
    return "\n".join([*lines, *(f"{row['pair']}: {row['reason']}" for row in table.rows if row.get("reason"))])


def html(table: PairTable) -> str:
    """The whole table for Jupyter."""
    return html_text(text(table).splitlines()[0]) + html_table(table.to_dataframe(), max_rows=None)


def figure(table: PairTable, **look: Any) -> Figure:
    """For each pair the range to restore over relative depth, and its gain with interval; faint where not confirmed.

    Args:
        table: The pairs.
        **look: `ax`, `width` and `title`, see `open_canvas`.
    """
    size = (8.4, 1.1 + 0.34 * len(table.rows))
    canvas = open_canvas(2, 2, size, sharey=True, ratios=(1.4, 1), **look)
    depth, gain = canvas.axes
    for place, row in enumerate(table.rows):
        _draw(depth, gain, place, row)
    depth.set_xlim(0, 1)
    percent(depth.xaxis)
    depth.set_xlabel("blocks to restore, share of depth")
    gain.axvline(0, color="0.75", linewidth=0.8, linestyle="--", zorder=0)
    gain.set_xlabel("gain in diversity, fraction of log |V|")
    for axis in canvas.axes:
        grid(axis, "x")
    for axis in canvas.axes[:: canvas.columns]:
        axis.set_yticks(range(len(table.rows)), [row["pair"] for row in table.rows])
        axis.set_ylim(len(table.rows) - 0.5, -0.5)
    return canvas.close("Where diversity is won back")


def _draw(depth: Axes, gain: Axes, place: int, row: dict[str, Any]) -> None:
    if not row.get("layers"):
        depth.text(0.02, place, "failed" if row["reason"].startswith("failed") else "nothing to restore", va="center")
        return
    look: dict[str, Any] = {"color": COLOURS["best"], "alpha": _SOLID if row["state"] == "more" else _FAINT}
    depth.barh(place, row["stop"] - row["start"], left=row["start"], height=0.6, **look)
    low, value, high = (row["gain"] if row[key] is None else row[key] for key in ("gain_low", "gain", "gain_high"))
    gain.errorbar(value, place, xerr=[[value - low], [high - value]], fmt="o", markersize=4, **look)


def _cells(row: dict[str, Any]) -> list[str]:
    place = f"{row['start']:.0%}-{row['stop']:.0%}"
    gain = with_limits(row["gain"], row["gain_low"], row["gain_high"], "+.3f", ".3f")
    excluded = f"{row['excluded']} ({row['excluded_by']})" if row["excluded"] else ""
    return [row["pair"], row["layers"], place, gain, number(row["kept"], ".2f"), excluded, row["found_by"] or "none"]

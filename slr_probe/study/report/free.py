"""What else the table of ranges says, without a forward: order and shape, wider families, early with late blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slr_probe.show.words.format import p_value
from slr_probe.show.words.interaction import interaction_sentence
from slr_probe.show.words.sentences import as_text
from slr_probe.show.words.split import NAMES
from slr_probe.show.words.wider import FAMILIES, SAID, blocks_said, more_diverse
from slr_probe.study.report.figures import interaction
from slr_probe.study.report.tables import Table, TableRow

if TYPE_CHECKING:
    from slr_probe.rank.ranking import RangeRanking


def section(ranking: RangeRanking) -> dict[str, Any]:
    """Tables, the figure and its sentence; what was not measured is missing."""
    tables = [table for table in (split_table(ranking), wider_table(ranking)) if table is not None]
    figure = interaction(ranking)
    return {
        "free": bool(tables) or figure is not None,
        "free_tables": tables,
        "interaction": figure,
        "interaction_words": interaction_sentence(ranking),
    }


def split_table(ranking: RangeRanking) -> Table | None:
    """The change from tuned to the best range, split into order and shape; None where it was not read."""
    found = ranking.split
    if found is None:
        return None
    where = f"{found.prompts} {'held-out' if found.held_out else 'selection'} prompts of one-token answers"
    caption = (
        f"What {ranking.ranges[found.row]} changes, on {where}, with {ranking.level:.0%} intervals: how answers rank "
        "above other tokens (order), and how evenly they share their mass (shape)."
    )
    rows = [
        TableRow((NAMES[part.name], f"{part.tuned:.3f}", f"{part.hybrid:.3f}", as_text(part.change, "+.3f")))
        for part in found.parts
    ]
    return Table(caption, ("", "tuned", str(ranking.ranges[found.row]), "change"), rows)


def wider_table(ranking: RangeRanking) -> Table | None:
    """The best of each wider family beside the best range; None where none was searched."""
    if not ranking.wider:
        return None
    caption = (
        f"Wider families than whole ranges, the best of each beside {ranking.best}; p is adjusted for the number of "
        "families. The choice stays among whole ranges."
    )
    rows = [
        TableRow(
            (
                FAMILIES[found.family],
                blocks_said(found) if found.allowed else f"{blocks_said(found)} (not allowed, nearest)",
                more_diverse(found),
                p_value(found.gap.p),
                f"{found.gap.kept:.0%}",
                SAID[found.gap.state],
            )
        )
        for found in ranking.wider
    ]
    return Table(caption, ("", "blocks", "diversity beside it", "adjusted p", "validity kept", ""), rows)

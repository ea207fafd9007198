"""The figures of the page: those of the library, with a name for those who do not see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from slr_probe.show.charts.cost import plot_cost
from slr_probe.show.charts.forest import plot_differences
from slr_probe.show.charts.interaction import plot_interaction
from slr_probe.show.charts.maps import plot_map
from slr_probe.show.charts.profile import plot_profile
from slr_probe.show.charts.spread import plot_spread
from slr_probe.show.charts.tradeoff import plot_trade_off
from slr_probe.study.report.inline import inline

if TYPE_CHECKING:
    from slr_probe.layers import LayerRange
    from slr_probe.rank.ranking import RangeRanking
    from slr_probe.study.folder import Findings
    from slr_probe.validation.result import ValidationReport

_WIDTH = 4.8
"""Inches of the small figures, so that their text can be read on a phone."""


def heat_maps(ranking: RangeRanking, chosen: LayerRange | None) -> list[Markup]:
    """Validity and diversity of every range on the selection prompts, the chosen range framed."""
    return [
        inline(
            plot_map(ranking, what, chosen=chosen),
            f"heat {what}",
            f"Heat map of {what}: rows are the first restored block, columns the first block not restored",
        )
        for what in ("validity", "diversity")
    ]


def trade_off(ranking: RangeRanking, chosen: LayerRange | None) -> Markup:
    """Every row of a ranking on the selection prompts, the chosen range with a star."""
    figure = plot_trade_off(ranking, held_out=False, chosen=chosen)
    label = "Trade-off between validity and diversity of every range, references and controls"
    return inline(figure, "trade", label)


def cost(ranking: RangeRanking) -> Markup | None:
    """Divergence from tuned against entropy over temperature; None where no replies were read."""
    if not ranking.curve_entropy.shape[-1]:
        return None
    return inline(
        plot_cost(ranking, title="", width=_WIDTH), "cost", "Divergence from tuned against entropy, over temperature"
    )


def interaction(ranking: RangeRanking) -> Markup | None:
    """What restoring both sides of each split brings beyond the sum of both; None where that is unknown."""
    if not ranking.interactions:
        return None
    return inline(
        plot_interaction(ranking, title="", width=_WIDTH),
        "interaction",
        "Interaction of early and late restoration at every split",
    )


def spread(ranking: RangeRanking) -> Markup | None:
    """Both diversities of every range, where spread is part of what is chosen by."""
    if ranking.objective == "crc" or not ranking.has_replies:
        return None
    return inline(
        plot_spread(ranking, title="", width=_WIDTH),
        "spread",
        "Diversity and spread of every range, with the Pareto front",
    )


def profile(found: Findings, chosen: LayerRange | None) -> Markup | None:
    """What was measured over depth, the chosen range shaded; None where nothing was."""
    lens = found.lens
    if lens is not None and not {"base", "tuned"} <= set(lens.models):
        lens = None
    measured: dict[str, Any] = {"delta": found.delta, "lens": lens, "patching": found.patching, "mask": found.mask}
    if all(result is None for result in measured.values()):
        return None
    figure = plot_profile(**measured, layers=chosen)
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    return inline(figure, "profile", f"Profile over depth: {'; '.join(titles)}")


def forest(report: ValidationReport) -> Markup:
    """Differences to tuned of every model, on the diversity and the quality measure of each task.

    It is there twice, and the style sheet shows one: two panels beside each other, or below each other on a phone.
    """
    label = "Differences to tuned with intervals, by task"
    wide = inline(plot_differences(report), "forest", label)
    return wide + inline(plot_differences(report, width="column"), "forest narrow", label, prefix="narrow-")

"""Validity and diversity of every contiguous range, restored to base, on questions with known answer sets (CRC).

    python analyses/crc_heatmaps.py [BASE TUNED] [--results DIR] [--figures DIR] [--quick]

Writes crc_heatmaps.{pdf,png,csv}: a cell for each start and stop; a line bounds the ranges that keep the floor on
validity, a frame marks the most diverse of them. Means over selection prompts; the CSV holds their intervals.
"""

from __future__ import annotations

from common import WIDTH, Analysis, main, span

from slr_probe.show.charts.maps import plot_maps


def run(analysis: Analysis) -> None:
    """Draw both maps."""
    ranking = analysis.study("rank").ranking
    assert ranking is not None
    table = ranking.to_dataframe()
    table = table[table["kind"] == "range"]
    scores = [column for column in table if column.startswith(("validity", "diversity"))]
    table = table[["rank", "start", "stop", "width", *scores, "meets_floor", "pareto", "p_best"]]
    best, tuned = table.iloc[0], int(ranking.rows("tuned")[0])
    scores = " and ".join(
        f"{what} {span(best[what], best[f'{what}_low'], best[f'{what}_high'], '.3f')}"
        for what in ("validity", "diversity")
    )
    shows = (
        f"Mean validity and diversity (fraction of log |V|) of all {len(ranking.ranges)} ranges on "
        f"{ranking.validity.shape[1]} prompts. {int(ranking.feasible[: len(ranking.ranges)].sum())} keep "
        f"{ranking.floor:g} of tuned's validity; {'best' if ranking.meets_floor else 'nearest to the floor'} is "
        f"{ranking.best} with {scores} (tuned: {ranking.mean_validity[tuned]:.3f} and "
        f"{ranking.mean_diversity[tuned]:.3f}); it is best in {ranking.p_best[int(ranking.order[0])]:.0%} of resamples."
    )
    settings = f"{ranking.validity.shape[1]} selection prompts, {ranking.settings.get('format')} format, exact "
    settings += f"next-token distributions, bootstrap {ranking.resamples} x, level {ranking.level:g}"
    analysis.write("crc_heatmaps", plot_maps(ranking), table, shows, settings, height=3.1, width=WIDTH)


if __name__ == "__main__":
    main(__doc__, run)

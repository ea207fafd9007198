"""Diversity against validity: every range, the Pareto front, controls of equal width and uniform soups.

    python analyses/tradeoff.py [BASE TUNED] [--results DIR] [--figures DIR] [--quick]

Writes tradeoff.{pdf,png,csv}: selection prompts at the left, held-out prompts at the right; bars are bootstrap
intervals over prompts (of the soups, for the best one).
"""

from __future__ import annotations

from common import Analysis, main

from slr_probe.show.charts.tradeoff import plot_trade_off


def run(analysis: Analysis) -> None:
    """Draw the trade-off."""
    ranking = analysis.study("rank").ranking
    assert ranking is not None
    held = ranking.held_validity.shape[1] > 0
    table, parts = ranking.to_dataframe(), []
    prefix = "held_" if held else ""
    found = {f"best {ranking.best}": table.iloc[0]}
    for kind in ("tuned", "early", "late", "base"):
        rows = table[table["kind"] == kind]
        found |= {kind: rows.iloc[0]} if len(rows) else {}
    if ranking.best_soup is not None:
        found["best soup"] = table.iloc[ranking.best_soup]
    for name, row in found.items():
        names = (f"{prefix}validity", f"{prefix}diversity", f"{prefix}diversity_low", f"{prefix}diversity_high")
        validity, diversity, low, high = (row[name] for name in names)
        parts.append(f"{name} {validity:.3f} / {diversity:.3f} [{low:.3f}, {high:.3f}]")
    where = "held-out" if held else "selection"
    shows = f"Validity / diversity on {where} prompts: {'; '.join(parts)}."
    settings = f"{ranking.validity.shape[1]} selection and {ranking.held_validity.shape[1]} held-out prompts, "
    settings += f"{len(ranking.rows('soup'))} soups, {len(ranking.rows('random'))} random sets, level {ranking.level:g}"
    analysis.write("tradeoff", plot_trade_off(ranking), table, shows, settings, height=3.7)


if __name__ == "__main__":
    main(__doc__, run)

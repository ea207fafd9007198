"""Diversity against validity: every range, the Pareto front, controls of equal width and uniform soups.

    python analyses/tradeoff.py [BASE TUNED] [--results DIR] [--figures DIR] [--quick]

Writes tradeoff.{pdf,png,csv}: selection prompts at the left, held-out prompts at the right; bars are bootstrap
intervals over prompts (of the soups, for the best one).
"""

from __future__ import annotations

from common import Analysis, main

from slr_probe.show import plot_trade_off


def run(analysis: Analysis) -> None:
    """Draw the trade-off."""
    ranking = analysis.study("rank").ranking
    assert ranking is not None
    held = ranking.held_validity.shape[1] > 0
    table, parts = ranking.to_dataframe(), []
    prefix = "held_" if held else ""
    found = {f"best {ranking.best}": table.iloc[0]}
    found |= {kind: table[table["kind"] == kind].iloc[0] for kind in ("tuned", "early", "late", "base")
              if (table["kind"] == kind).any()}  # fmt: skip
    if ranking.best_soup is not None:
        found["best soup"] = table.iloc[ranking.best_soup]
    for name, row in found.items():
        parts.append(f"{name} {row[f'{prefix}validity']:.3f} / {row[f'{prefix}diversity']:.3f} "
                     f"[{row[f'{prefix}diversity_low']:.3f}, {row[f'{prefix}diversity_high']:.3f}]")  # fmt: skip
    where = "held-out" if held else "selection"
    shows = f"Validity / diversity on {where} prompts: {'; '.join(parts)}."
    settings = f"{ranking.validity.shape[1]} selection and {ranking.held_validity.shape[1]} held-out prompts, "
    settings += f"{len(ranking.rows('soup'))} soups, {len(ranking.rows('random'))} random sets, level {ranking.level:g}"
    analysis.write("tradeoff", plot_trade_off(ranking), table, shows, settings, height=3.7)


if __name__ == "__main__":
    main(__doc__, run)

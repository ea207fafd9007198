"""Baselines that beat a range in diversity and in validity at once."""

from __future__ import annotations

from slr_probe.rank.compare import Gap, both_held_out, gaps_between
from slr_probe.rank.order import EQUAL
from slr_probe.rank.scores import RangeScores, What

_KINDS = ("base", "full", "early", "late", "random", "soup")


def dominant(scores: RangeScores, row: int) -> tuple[Gap, ...]:
    """Soups, controls and base that are more diverse and more valid than a range; the most diverse first.

    The means decide, on held-out prompts where both were scored on them, else on the selection prompts: a point that
    lies above and to the right in the figure is named. Whether the difference in diversity is confirmed says `state`,
    whose tests are adjusted for all baselines. Guards are not asked (see `RangeScores.excluded_by`).
    """
    others = _baselines(scores, row)
    if not any(_better(scores, row, other) for _, other in others):
        return ()
    found = [gap for gap in gaps_between(scores, row, others) if _better(scores, row, gap.other)]
    return tuple(sorted(found, key=lambda gap: gap.difference.value))


def _baselines(scores: RangeScores, row: int) -> list[tuple[str, int]]:
    """Every other recipe once, but for tuned, ranges and parts of ranges."""
    seen, rows = [scores.recipes[row], scores.recipes[scores.tuned]], []
    for kind in _KINDS:
        for other in map(int, scores.rows(kind)):
            if scores.measured[other] and scores.recipes[other] not in seen:
                seen.append(scores.recipes[other])
                rows.append((kind, other))
    return rows


def _better(scores: RangeScores, row: int, other: int | None) -> bool:
    """Whether another row lies above and to the right."""
    if other is None:
        return False
    measures: tuple[What, ...] = ("diversity", "validity")
    means = [scores.means(what, held_out=both_held_out(scores, row, other)) for what in measures]
    return all(mean[other] > mean[row] + EQUAL for mean in means)

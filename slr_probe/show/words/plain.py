"""The verdict for a newcomer: what to restore or why nothing, what it brings and costs, and what was not measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slr_probe.rank.compare import Choice, Evidence, ahead, evidence, stability
from slr_probe.scoring.metrics import metric
from slr_probe.show.words.ahead import in_a_clause
from slr_probe.show.words.dominant import better_in_both, rival
from slr_probe.show.words.format import listed, number, places, short
from slr_probe.show.words.guards import instead
from slr_probe.show.words.near import blocks_of, steadiness

if TYPE_CHECKING:
    from slr_probe.rank.ranking import RangeRanking
    from slr_probe.validation.result import ValidationReport

_FLOOR = {
    "above": "",
    "perhaps above": "",
    "perhaps below": ", which may miss the floor of {:.0%}",
    "below": ", which misses the floor of {:.0%}",
}


def advice(ranking: RangeRanking, choice: Choice, *, steady: bool = True) -> str:
    """What to restore, or why nothing; better rivals and a choice that is not stable are named at once.

    What beats the range in diversity and validity alike comes first.

    Args:
        ranking: What was measured.
        choice: What was chosen.
        steady: Add `doubt`, where there is any.
    """
    if choice.layers is None:
        other = instead(ranking)
        return f"Restore nothing: {choice.why}.{f' {other[:1].upper()}{other[1:]}.' if other else ''}"
    row = ranking.index(choice.layers)
    blocks, change = f"{blocks_of(choice.layers)} of {ranking.depth}", _change(evidence(ranking, row), ranking.floor)
    beside = doubt(ranking, choice) if steady else ""
    after = f" {beside}" if beside else ""
    first = better_in_both(ranking, choice.layers)
    before = f"{first} " if first else ""
    if not choice.confirmed:
        doubted = f"It is not confirmed that setting {blocks} back to base makes answers more diverse"
        return f"{before}{doubted}: {change}.{after}"
    rivals = [
        f"{rival(ranking, gap)} (keeping {gap.kept:.0%})"
        for gap in ahead(ranking, row)
        if not (first and gap.kind == "soup")
    ]
    better = f" But {listed(rivals)} would be more diverse still: consider that instead." if rivals else ""
    return f"{before}{'Of the ranges, set' if first else 'Set'} {blocks} back to base: {change}.{better}{after}"


def doubt(ranking: RangeRanking, choice: Choice) -> str:
    """How stable the choice is and which ranges are nearly equal, where it is not stable; else empty."""
    if choice.layers is None or stability(float(ranking.p_best[ranking.index(choice.layers)])) != "not stable":
        return ""
    return steadiness(ranking, choice.layers)


def _change(found: Evidence, floor: float) -> str:
    where = f"on {found.prompts} prompts that played no part in the choice"
    before, after = found.diversity.value - found.gain.value, found.diversity.value
    return (
        f"{where if found.held_out else 'on the prompts of the choice itself'}, answers reach {after:.0%} of the "
        f"possible diversity instead of {before:.0%} and keep {found.kept.value:.0%} of tuned's "
        f"validity{_FLOOR[found.floor].format(floor)}"
    )


def brings_and_costs(report: ValidationReport) -> str:
    """In generated text: on which tasks the first hybrid is more diverse than tuned, and where quality pays for it."""
    if not report.hybrids:
        return ""
    model = report.hybrids[0]
    more, less = (_tasks(report, model, 0, outcome) for outcome in ("better", "worse"))
    gains = [f"more diverse on {listed(more)}"] if more else []
    gains += [f"less diverse on {listed(less)}"] if less else []
    found = f"the hybrid is {'; '.join(gains)}" if gains else "no difference in diversity is shown"
    counts = sorted({len(ids) for ids in report.prompt_ids})
    prompts = " to ".join(str(count) for count in sorted({counts[0], counts[-1]}))
    better = in_a_clause(report, model)
    first = f"more diverse than the hybrid by the means, and not worse: {better}; " if better else ""
    return f"In generated text ({prompts} prompts a task) {first}{found}; {_costs(report, model)}."


def _costs(report: ValidationReport, model: str) -> str:
    lost = [_loss(report, model, task) for task in _tasks(report, model, 1, "worse", whole=True)]
    endless = [short(task) for task, name in report.endless if name == model]
    said = [f"it costs quality on {listed(lost)}"] if lost else []
    said += [f"it ends its answers less often by itself on {listed(endless)}"] if endless else []
    return " and ".join(said) or "no loss of quality is shown"


def _tasks(report: ValidationReport, model: str, side: int, outcome: str, *, whole: bool = False) -> list[str]:
    """Tasks on which a model's diversity (side 0) or quality (side 1) has that outcome."""
    found = zip(report.tasks, report.primary, strict=True)
    names = [task for task, pair in found if report.compared(task, model, pair[side]) == outcome]
    return names if whole else [short(task) for task in names]


def _loss(report: ValidationReport, model: str, task: str) -> str:
    name = report.primary[report.task(task)][1]
    one, other = (report.comparisons.mean.estimate[report.at(task, which, name)] for which in (model, report.models[0]))
    spec = f".{places(max(abs(one), abs(other)), figures=2)}f"
    return f"{short(task)} ({short(metric(name).label)} {number(one, spec)}, tuned {number(other, spec)})"

"""Plain sentences that the numbers of a report support, and no more than that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slr_probe.scoring.metrics import metric
from slr_probe.stats.compare import holm, sign_flip_test, smallest_p
from slr_probe.stats.interval import interval_where_defined

if TYPE_CHECKING:
    from slr_probe.validation.result import ValidationReport

_DIVERSITY = ("more diverse than tuned", "less diverse than tuned", "diversity")
_QUALITY = ("quality higher", "quality lower", "quality")


def verdicts(report: ValidationReport) -> tuple[str, ...]:
    """For each hybrid and task: is it more diverse than tuned, and what became of quality?

    "More" or "less" is said only where the interval of the difference leaves out 0 and the p-value, adjusted over all
    hybrids, tasks and primary metrics, is at most 1 - level. Where only the interval leaves out 0 that is called
    "not confirmed"; where it holds 0, "no difference shown", with the largest loss that it leaves open.
    """
    lines = []
    for model in report.hybrids:
        for task, (diversity, quality) in zip(report.tasks, report.primary, strict=True):
            one = _judge(report, task, model, diversity, _DIVERSITY)
            other = _judge(report, task, model, quality, _QUALITY)
            lines.append(f"{task}: {model}: {one}; {other}.")
    return tuple(lines)


def carry_over(report: ValidationReport) -> tuple[str, ...]:
    """For each hybrid: its gain on the CRC task, on prompts it was not chosen on, and on which tasks it shows too."""
    lines = []
    for model in report.hybrids:
        if "tuned" not in report.crc_models or model not in report.crc_models:
            continue
        rows = [report.crc_models.index(name) for name in (model, "tuned")]
        gain = interval_where_defined(
            (report.crc_diversity[rows[0]] - report.crc_diversity[rows[1]])[None],
            report.crc_categories or [""] * report.crc_diversity.shape[1],
            level=report.level, resamples=report.resamples, seed=report.seed,
        )  # fmt: skip
        low, high, value = (float(part[0]) for part in (gain.low, gain.high, gain.estimate))
        valid = [float(report.crc_validity[row].mean()) for row in rows]
        count = int(np.isfinite(report.crc_diversity[rows[0]]).sum())
        head = (
            f"CRC, {count} {report.settings.get('crc_split', 'held-out')} prompts: {model}: diversity {value:+.3f} "
            f"[{low:.3f}, {high:.3f}] against tuned, validity {valid[0]:.3f} against {valid[1]:.3f}"
        )
        if not low > 0:
            lines.append(f"{head}; no gain on CRC is shown, so there is none to carry over.")
            continue
        by: dict[str, list[str]] = {}
        for task, pair in zip(report.tasks, report.primary, strict=True):
            by.setdefault(state_of(report, task, model, pair[0]), []).append(task)
        parts = [
            f"{said} {', '.join(by[state])}"
            for state, said in (
                ("more", "the gain carries over to"),
                ("more?", "a gain is not confirmed after adjustment on"),
                ("same", "no gain in diversity is shown on"),
                ("less?", "diversity may be lower on"),
                ("less", "diversity is lower on"),
                ("undefined", "no comparison is possible on"),
            )
            if by.get(state)
        ]
        lines.append(f"{head}; {'; '.join(parts)}.")
    return tuple(lines)


def endings(report: ValidationReport) -> tuple[str, ...]:
    """For each hybrid and task of `endless`: how often outputs end by themselves."""
    found, lines = report.comparisons, []
    for task, model in endless(report):
        i = report.metrics.index("ended")
        at, reference = (report.task(task), report.model(model), i), (report.task(task), 0, i)
        lines.append(
            f"{task}: {model} ends {found.mean.estimate[at]:.0%} of its outputs by itself, tuned "
            f"{found.mean.estimate[reference]:.0%} (difference {found.difference.estimate[at]:+.2f} "
            f"[{found.difference.low[at]:.2f}, {found.difference.high[at]:.2f}]): it writes on until the limit of "
            "tokens, so an answer costs more, and what follows the answer is in the measures above."
        )
    return tuple(lines)


def endless(report: ValidationReport) -> tuple[tuple[str, str], ...]:
    """Tasks and hybrids whose outputs end by themselves less often than tuned's.

    Restored blocks can take with them what post-training taught about stopping, which a task of one token cannot see.
    The rule is that of `verdicts`, with p-values adjusted over hybrids and tasks (ours).
    """
    cells = [(task, model) for task in report.tasks for model in report.hybrids if "ended" in report.metrics]
    if not cells:
        return ()
    gaps = [
        report.scores(task, model, "ended") - report.scores(task, report.models[0], "ended") for task, model in cells
    ]
    there = [gap[np.isfinite(gap)] for gap in gaps]
    adjusted = holm(np.array([sign_flip_test(gap, seed=report.seed) if len(gap) else np.nan for gap in there]))
    i, high = report.metrics.index("ended"), report.comparisons.difference.high
    return tuple(
        (task, model)
        for (task, model), least in zip(cells, adjusted, strict=True)
        if high[report.task(task), report.model(model), i] < 0 and least <= 1 - report.level + 1e-12
    )


def correct_only(report: ValidationReport) -> tuple[str, ...]:
    """For each hybrid and task with accepted answers: the change in diversity, split as in arXiv 2604.16027."""
    lines = []
    for model in report.hybrids:
        for task, pair in zip(report.tasks, report.primary, strict=True):
            if pair[1] != "correct":
                continue
            name = next(n for n in ("embedding_distance", "ead", "bleu_distance") if f"{n}_correct" in report.metrics)
            found = report.decomposition(task, name, models=[model])
            head, count = f"{task}: {model}: {metric(name).label}", f"{found.defined} of {found.prompts} prompts"
            if found.defined < 2:
                lines.append(f"{head}: cannot be split, both models have two correct outputs on {count} only.")
                continue
            parts = [
                f"{0 - part.estimate[1]:+.3g} [{0 - part.high[1]:.3g}, {0 - part.low[1]:.3g}]"
                for part in (found.loss, found.residual_loss, found.quality_control_loss)
            ]
            lines.append(
                f"{head} against tuned {parts[0]} on {count} with two correct outputs of both: "
                f"{parts[1]} among correct outputs, {parts[2]} in variety of errors."
            )
    return tuple(lines)


def state_of(report: ValidationReport, task: str, model: str, name: str) -> str:
    """`"more"`, `"less"`, either with `"?"` where only the interval says so, `"same"`, or `"undefined"`."""
    found = report.comparisons
    at = (report.task(task), report.model(model), report.metrics.index(name))
    low, high = float(found.difference.low[at]), float(found.difference.high[at])
    if not np.isfinite([low, high]).all():
        return "undefined"
    if low <= 0 <= high:
        return "same"
    up = (low > 0) == (metric(name).sign > 0)
    return ("more" if up else "less") + ("" if found.adjusted[at] <= 1 - report.level + 1e-12 else "?")


def _judge(report: ValidationReport, task: str, model: str, name: str, words: tuple[str, str, str]) -> str:
    found, label = report.comparisons, metric(name).label
    more, less, neutral = (f"{word} ({label}" for word in words)
    at = (report.task(task), report.model(model), report.metrics.index(name))
    state = state_of(report, task, model, name)
    pairs = int(found.pairs[at])
    if state == "undefined":
        return f"{neutral}) cannot be compared: defined for both on {pairs} prompts only"
    low, high = float(found.difference.low[at]), float(found.difference.high[at])
    reference = (at[0], 0, at[2])
    numbers = (
        f" {found.mean.estimate[at]:.3g} against {found.mean.estimate[reference]:.3g}, "
        f"{found.difference.estimate[at]:+.3g} [{low:.3g}, {high:.3g}]"
    )
    p = f"adjusted p {_p(float(found.adjusted[at]))}"
    if state == "same":
        worst = -low if metric(name).sign > 0 else high
        bound = f" (the interval leaves room for a loss of {worst:.3g})" if worst > 0 else ""
        return f"no difference in {neutral}{numbers}) shown{bound}"
    said = (more if state.startswith("more") else less) + f"{numbers}, {p})"
    if not state.endswith("?"):
        return said
    why = ""
    if smallest_p(pairs) * int(found.tests[at]) > 1 - report.level:
        why = f", which {pairs} prompts cannot reach with {int(found.tests[at])} comparisons"
    return f"perhaps {said}: the interval leaves out 0, but it is not confirmed after adjustment{why}"


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 0.001 else "below 0.001"

"""Plain sentences on a validation: they print the states that the report decided, and no more than that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slr_probe.scoring.metrics import metric
from slr_probe.show.words.format import estimate, listed, p_value, places, short, with_limits
from slr_probe.show.words.sentences import few_prompts
from slr_probe.stats.compare import State
from slr_probe.stats.interval import FEWEST

if TYPE_CHECKING:
    from slr_probe.comparison import ScoreReport
    from slr_probe.stats.interval import Interval
    from slr_probe.validation.result import ValidationReport
    from slr_probe.validation.warmer import BesideWarmer

_DIVERSITY = ("more diverse than tuned", "less diverse than tuned", "diversity")
_QUALITY = ("quality higher", "quality lower", "quality")
_CARRIED: dict[State, str] = {
    "more": "the gain carries over to",
    "more?": "a gain is not confirmed after adjustment on",
    "same": "no gain in diversity is shown on",
    "less?": "diversity may be lower on",
    "less": "diversity is lower on",
    "undefined": "no comparison is possible on",
}


_BESIDE: dict[State, str] = {
    "more": "is more diverse than {}",
    "more?": "is perhaps more diverse than {}, not confirmed after adjustment",
    "same": "is not shown to be more diverse than {}",
    "less?": "is perhaps less diverse than {}, not confirmed after adjustment",
    "less": "is less diverse than {}",
    "undefined": "cannot be compared with {}",
}
"""What is said of a hybrid beside a tuned model that is sampled warmer."""
_OUTCOMES = (
    {
        "better": "more diverse than tuned",
        "worse": "less diverse than tuned",
        "unclear": "not shown to differ in diversity",
    },
    {"better": "of higher quality", "worse": "of lower quality", "unclear": "not shown to differ in quality"},
)
"""What is said of diversity, and of quality."""


def in_text(report: ValidationReport) -> str:
    """On which tasks the first hybrid's diversity and quality differ from tuned's, in a sentence or two."""
    if not report.hybrids:
        return ""
    model = report.hybrids[0]
    sizes = sorted({len(ids) for ids in report.prompt_ids})
    prompts = " to ".join(str(size) for size in sorted({sizes[0], sizes[-1]}))
    diversity, quality = (_by_outcome(report, model, side) for side in (0, 1))
    if len(diversity["unclear"]) == len(quality["unclear"]) == len(report.tasks):
        word = "confirmed" if _in_doubt(report, model) else "shown"
        found = f"no difference to tuned in diversity or quality is {word} on {listed(diversity['unclear'])}"
    else:
        sides = zip(_OUTCOMES, (diversity, quality), strict=True)
        found = "; ".join(f"it is {_outcome(words, tasks)}" for words, tasks in sides)
    said = f"In generated text ({prompts} prompts a task) {found}."
    no_gain = [short(one.task) for one in report.beside_warmer if one.hybrid == model and _equalled(report, one)]
    if no_gain:
        said += f" On {listed(no_gain)} it is not shown to be more diverse than tuned sampled warmer, which is as good."
    endless = [short(task) for task, name in report.endless if name == model]
    if endless:
        said += f" On {listed(endless)} it stops by itself less often than tuned, so answers are longer and cost more."
    return said


def _equalled(report: ValidationReport, one: BesideWarmer) -> bool:
    """Whether tuned reaches by temperature alone what a hybrid does."""
    return one.warmer != report.models[0] and one.state not in ("more", "more?")


def _by_outcome(report: ValidationReport, model: str, side: int) -> dict[str, list[str]]:
    """Tasks on which a model is better, worse or neither: in diversity (side 0) or in quality (side 1)."""
    by: dict[str, list[str]] = {outcome: [] for outcome in _OUTCOMES[side]}
    for task, pair in zip(report.tasks, report.primary, strict=True):
        outcome = report.compared(task, model, pair[side])
        by["unclear" if outcome == "undefined" else outcome].append(short(task))
    return by


def _outcome(words: dict[str, str], tasks: dict[str, list[str]]) -> str:
    return ", ".join(f"{words[outcome]} on {listed(names)}" for outcome, names in tasks.items() if names)


def _in_doubt(report: ValidationReport, model: str) -> bool:
    """Whether any interval leaves zero out where the test does not agree."""
    pairs = zip(report.tasks, report.primary, strict=True)
    return any(report.state(task, model, name) in ("more?", "less?") for task, pair in pairs for name in pair)


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
            few = few_prompts(
                min(int(report.comparisons.pairs[report.at(task, model, name)]) for name in (diversity, quality))
            )
            lines.append(f"{task}: {model}: {one}; {other}.{_silence(report, task, model)}{few}")
    return tuple(lines)


def _silence(report: ValidationReport, task: str, model: str) -> str:
    """How many outputs diversity does not count, where a hybrid is silent more often than tuned."""
    own, tuned = (report.silent(task, name) for name in (model, report.models[0]))
    return f" {own:.0%} of its outputs are empty (tuned {tuned:.0%}) and count for no diversity." if own > tuned else ""


def warmer(report: ValidationReport) -> tuple[str, ...]:
    """For each hybrid and task: its diversity beside tuned at a temperature that costs no more quality."""
    return tuple(_beside(report, one) for one in report.beside_warmer)


def _beside(report: ValidationReport, one: BesideWarmer) -> str:
    names = report.primary[report.task(one.task)]
    specs = [decimals(report, one.task, name) for name in names]
    ours, theirs = zip(one.diversity, one.quality, strict=True)
    own, other = (" at ".join(f"{x:{spec}}" for x, spec in zip(pair, specs, strict=True)) for pair in (ours, theirs))
    labels = f"{metric(names[0]).label} at {metric(names[1]).label}"
    change = with_limits(one.difference, one.low, one.high, f"+{specs[0]}")
    return (
        f"{one.task}: {one.hybrid} {_BESIDE[one.state].format(one.warmer)} ({labels}: {own} against {other}, {change}, "
        f"adjusted p {p_value(one.p)})."
    )


def carry_over(report: ValidationReport) -> tuple[str, ...]:
    """For each hybrid: its gain on the CRC task, on prompts it was not chosen on, and on which tasks it shows too."""
    gains = {model: report.crc_gain(model) for model in report.hybrids}
    return tuple(_carried(report, model, gain) for model, gain in gains.items() if gain is not None)


def _carried(report: ValidationReport, model: str, gain: Interval) -> str:
    own, tuned = (report.crc_models.index(name) for name in (model, "tuned"))
    count = int(np.isfinite(report.crc_diversity[own]).sum())
    split = report.settings.get("crc_split", "held-out")
    validity = [f"{report.crc_validity[row].mean():.3f}" for row in (own, tuned)]
    head = (
        f"CRC, {count} {split} prompts: {model}: diversity {estimate(gain, 0, '+.3f', '.3f')} against tuned, "
        f"validity {validity[0]} against {validity[1]}"
    )
    if not gain.low[0] > 0:
        return f"{head}; no gain on CRC is shown, so there is none to carry over."
    by: dict[State, list[str]] = {state: [] for state in _CARRIED}
    for task, (diversity, _) in zip(report.tasks, report.primary, strict=True):
        by[report.state(task, model, diversity)].append(task)
    parts = [f"{_CARRIED[state]} {', '.join(tasks)}" for state, tasks in by.items() if tasks]
    return f"{head}; {'; '.join(parts)}."


def endings(report: ValidationReport) -> tuple[str, ...]:
    """For each hybrid and task of `ValidationReport.endless`: how often outputs end by themselves."""
    found, lines = report.comparisons, []
    for task, model in report.endless:
        at, reference = report.at(task, model, "ended"), report.at(task, report.models[0], "ended")
        lines.append(
            f"{task}: {model} ends {found.mean.estimate[at]:.0%} of its outputs by itself, tuned "
            f"{found.mean.estimate[reference]:.0%} (difference {estimate(found.difference, at, '+.2f', '.2f')}): it "
            "writes on until the limit of tokens, so an answer costs more, and what follows the answer is in the "
            "measures above."
        )
    return tuple(lines)


def correct_only(report: ValidationReport) -> tuple[str, ...]:
    """For each hybrid and task with accepted answers: the change in diversity, split as in arXiv 2604.16027."""
    return tuple(
        _split(report, task, model)
        for model in report.hybrids
        for task, pair in zip(report.tasks, report.primary, strict=True)
        if pair[1] == "correct"
    )


def _split(report: ValidationReport, task: str, model: str) -> str:
    found = report.decomposition(task, models=[model])
    head, count = (
        f"{task}: {model}: {metric(report.decomposed[0]).label}",
        f"{found.defined} of {found.prompts} prompts",
    )
    if found.defined < 2:
        return f"{head}: cannot be split, both models have two correct outputs on {count} only."
    spec = f"+{decimals(report, task, report.decomposed[0])}"
    changes = [
        with_limits(0 - part.estimate[1], 0 - part.high[1], 0 - part.low[1], spec)
        for part in (found.loss, found.residual_loss, found.quality_control_loss)
    ]
    return (
        f"{head} against tuned {changes[0]} on {count} with two correct outputs of both: "
        f"{changes[1]} among correct outputs, {changes[2]} in variety of errors."
    )


def _judge(report: ValidationReport, task: str, model: str, name: str, words: tuple[str, str, str]) -> str:
    found, at = report.comparisons, report.at(task, model, name)
    more, less, neutral = (f"{word} ({metric(name).label}" for word in words)
    state, pairs = report.state(task, model, name), int(found.pairs[at])
    if state == "undefined":
        return f"{neutral}) cannot be compared: defined for both on {pairs} prompts, and an interval needs {FEWEST}"
    tuned = found.mean.estimate[at] - found.difference.estimate[at]  # on the same prompts
    spec, prompts = decimals(report, task, name), len(report.prompt_ids[at[0]])
    change = estimate(found.difference, at, f"+{spec}") + (f" on {pairs} of {prompts} prompts" * (pairs < prompts))
    numbers = f" {found.mean.estimate[at]:{spec}} against {tuned:{spec}}, {change}"
    if state == "same":
        return f"no difference in {neutral}{numbers}) shown{_room_for_loss(report, at, spec)}"
    said = f"{more if state in ('more', 'more?') else less}{numbers}, adjusted p {p_value(found.adjusted[at])})"
    if state in ("more", "less"):
        return said
    why = ""
    if not report.can_confirm(task, model, name):
        why = f", which {pairs} prompts cannot reach with {int(found.tests[at])} comparisons"
    return f"perhaps {said}: the interval leaves out 0, but it is not confirmed after adjustment{why}"


def decimals(report: ScoreReport, task: str, name: str) -> str:
    """The format of all numbers of one metric on one task."""
    means = report.comparisons.mean.estimate[report.task(task), :, report.metrics.index(name)]
    return f".{places(float(np.nanmax(np.abs(means), initial=0.0)))}f"


def _room_for_loss(report: ValidationReport, at: tuple[int, int, int], spec: str) -> str:
    """The largest loss that the interval leaves open."""
    found = report.comparisons.difference
    worst = -found.low[at] if metric(report.metrics[at[2]]).sign > 0 else found.high[at]
    return f" (the interval leaves room for a loss of {worst:{spec}})" if worst > 0 else ""

"""The stages of a study, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slr_probe.errors import StudyError
from slr_probe.study.stages import hybrid, probes, ranking, report, validation

if TYPE_CHECKING:
    from slr_probe.study.context import Context

STAGES = (
    probes.INSPECT,
    probes.DELTA,
    probes.LENS,
    probes.PATCHING,
    ranking.RANK,
    ranking.MASK,
    hybrid.RESTORE,
    hybrid.VERIFY,
    validation.VALIDATE,
    report.REPORT_STAGE,
)
"""In the order in which they run; each reads only what stands before it."""


def check_settings(context: Context) -> None:
    """Refuse settings that cannot work for this pair, before any work is done.

    Raises:
        StudyError: They ask for more than the model has.
        TaskError: The task file cannot be read.
        LayerRangeError: `restore.layers` does not fit the model.
        SweepError: `common.memory` is no size, or a setting of the sweep is out of its range.
        ValidationError: Unknown families or baselines, too few prompts or samples, or prompts that ranges are chosen
            by.
    """
    from slr_probe.forward.budget import parse_bytes
    from slr_probe.generation import Sampling
    from slr_probe.scoring.tasks import check_apart, check_unit, read_size, read_tasks
    from slr_probe.study.stages.prompts import read_task
    from slr_probe.sweep.settings import Measure
    from slr_probe.validation.methods import BASELINES, check_baselines

    settings, depth = context.settings, context.pair.depth
    read_task(settings.rank.task)
    parse_bytes(settings.common.memory)
    Measure(settings.rank.temperature, settings.rank.min_p)
    text = settings.validate
    if text.enabled:
        check_apart(context.pair, read_tasks(context.pair, text.families))
        read_size("full", text.prompts or None, text.samples or None, text.max_tokens or None, text.stories or None)
        check_baselines(text.baselines, BASELINES)
        check_unit("validate.temperatures", text.temperatures, 0, 100)
        Sampling(temperature=text.temperature, min_p=text.min_p)
    if settings.restore.layers:
        context.pair.recipe(settings.restore.layers)
    if settings.patching.window > depth:
        raise StudyError(f"patching.window is {settings.patching.window}, but the model has {depth} blocks")

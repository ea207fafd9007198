"""`validate`: does the gain carry over to generated text?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from slr_probe.study.settings import Settings
from slr_probe.study.stage import Skipped, Stage
from slr_probe.study.stages.prompts import choose, chosen_format, task_key

if TYPE_CHECKING:
    from slr_probe.study.context import Context


def validate(context: Context, home: Path) -> str:
    """Generate with the hybrid and with what it is compared to, and score."""
    from slr_probe.generation import Sampling
    from slr_probe.validation import validate as run_validation

    choice = context.found.choice()
    if choice.layers is None:
        raise Skipped("no hybrid was built")
    settings, common, rank = context.settings.validate, context.settings.common, context.settings.rank
    report = run_validation(
        context.pair,
        choice.layers,
        settings.families,
        prompts=settings.prompts or None,
        stories=settings.stories or None,
        samples=settings.samples or None,
        max_tokens=settings.max_tokens or None,
        sampling=Sampling(temperature=settings.temperature, min_p=settings.min_p, seed=common.seed),
        format=chosen_format(context),
        baselines=settings.baselines,
        temperatures=settings.temperatures,
        floor=rank.floor,
        embedder=_embedder(settings.embedder),
        crc=choose(context, rank.prompts),
        crc_temperature=rank.temperature,
        crc_min_p=rank.min_p,
        out=home,
        executor=context.executor,
        memory=common.memory,
        level=common.level,
        seed=common.seed,
        progress=context.progress,
    )
    sizes = zip(report.tasks, report.prompt_ids, report.samples, strict=True)
    shown = ", ".join(f"{task} {len(ids)} x {samples}" for task, ids, samples in sizes)
    return f"{len(report.models)} models on {shown} outputs"


def _embedder(name: str) -> Any:
    if not name:
        return None
    from slr_probe.judges import Embedder

    return Embedder(name)


def _follows(settings: Settings) -> dict[str, Any]:
    plain = settings.to_dict()
    files = {name: task_key(name) for name in settings.validate.families}
    chosen = {"task": task_key(settings.rank.task), "prompts": settings.rank.prompts, "floor": settings.rank.floor}
    common = {key: value for key, value in plain["common"].items() if key != "memory"}
    return {"validate": plain["validate"], "common": common, "rank": chosen, "files": files}


VALIDATE = Stage(
    "validate",
    "generation on three task families",
    ("rank", "restore"),
    _follows,
    validate,
    asked=lambda settings: settings.validate.enabled,
)

"""`rank` and `mask`: which blocks to restore."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slr_probe.files import write_json
from slr_probe.study.folder import EXAMPLES, LAYER_MASK, RANKING, SWEEPS
from slr_probe.study.settings import RankSettings, Settings
from slr_probe.study.stage import Stage
from slr_probe.study.stages.prompts import choose, chosen_format, task_key
from slr_probe.study.stages.save import save

if TYPE_CHECKING:
    from slr_probe.rank import Guards
    from slr_probe.study.context import Context
    from slr_probe.tasks.crc import CRCTask


def measured_by(context: Context) -> dict[str, Any]:
    """What a study's settings say of how ranges are measured, whatever they are chosen by; for `rank_layers`."""
    settings, common = context.settings.rank, context.settings.common
    return {
        "floor": settings.floor,
        "held_out": settings.held_out,
        "soups": settings.soups,
        "format": chosen_format(context),
        "temperature": settings.temperature,
        "min_p": settings.min_p,
        "level": common.level,
        "resamples": settings.resamples,
        "seed": common.seed,
        "memory": common.memory,
    }


def rank(context: Context, home: Path) -> str:
    """Score every range exactly and choose."""
    from slr_probe.rank import rank_layers

    settings = context.settings.rank
    sweeps = home / SWEEPS  # a killed run goes on from here
    task = choose(context, settings.prompts)
    found = rank_layers(
        context.pair,
        task,
        guards=guards_of(settings),
        objective=settings.objective,
        candidates=settings.candidates,
        out=sweeps,
        executor=context.executor,
        progress=context.progress,
        **measured_by(context),
    )
    write_json(home / f"{RANKING}.json", found.to_dict())
    write_json(home / EXAMPLES, examples(task))
    save(found, home, RANKING)
    shutil.rmtree(sweeps, ignore_errors=True)
    best, tuned = int(found.order[0]), found.tuned
    scores = (
        f"diversity {found.mean_diversity[best]:.3f} (tuned {found.mean_diversity[tuned]:.3f}), "
        f"validity {found.mean_validity[best]:.3f} (tuned {found.mean_validity[tuned]:.3f})"
    )
    if found.choice.layers is None:
        return f"{len(found.ranges)} ranges, nothing to restore: {found.choice.why}; first {found.best}: {scores}"
    doubt = "" if found.choice.confirmed else "; the gain is not confirmed"
    return f"{len(found.ranges)} ranges; best {found.best}: {scores}{doubt}"


def examples(task: CRCTask, count: int = 3) -> list[dict[str, Any]]:
    """A few prompts of the choice, evenly spread over them, with how many answers each takes."""
    items = task.selection.items
    places = {(2 * i + 1) * len(items) // (2 * count) for i in range(count)}
    return [{"prompt": items[i].prompt, "answers": len(items[i].answers)} for i in sorted(places)]


def guards_of(settings: RankSettings) -> Guards | None:
    """The guards that settings ask for; None for no guards."""
    from slr_probe.rank import Guards

    if not settings.guards:
        return None
    least, most = settings.ending[0], settings.ending[-1]
    return Guards(ending=(least, most), surprise=settings.surprise or None)


def mask(context: Context, home: Path) -> str:
    """Learn which layers matter to the tuned behaviour."""
    from slr_probe.probes.mask.learn import learn_layer_mask

    steps, seed = context.settings.mask.steps, context.settings.common.seed
    format, progress = chosen_format(context), context.progress
    found = learn_layer_mask(context.pair, steps=steps, seed=seed, format=format, progress=progress)
    save(found, home, LAYER_MASK)
    gamma = found.blocks()
    return f"gamma of blocks {gamma.min():.2f} to {gamma.max():.2f}, least needed: block {int(gamma.argmin())}"


def _follows(settings: Settings) -> dict[str, Any]:
    plain = settings.to_dict()
    common = {key: value for key, value in plain["common"].items() if key != "memory"}
    return {"common": common, "rank": {**plain["rank"], "task": task_key(settings.rank.task)}}


RANK = Stage("rank", "every range scored exactly, and the one to restore", (), _follows, rank)
MASK = Stage(
    "mask",
    "a learned mask over layers",
    (),
    lambda settings: {**_follows(settings), "mask": settings.to_dict()["mask"]},
    mask,
    asked=lambda settings: settings.mask.enabled,
)

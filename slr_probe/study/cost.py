"""What a study costs: its ranking and its text, estimated; the other stages in proportion."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from slr_probe.pair.travel import by_worker
from slr_probe.progress import Cost

if TYPE_CHECKING:
    from slr_probe.study.context import Context

SHARES = {"lens": 0.03, "patching": 0.2, "mask": 0.3, "delta": 0.01, "restore": 0.01, "verify": 0.01, "report": 0.02}
"""What other stages take of the time of ranking and text together (ours, from the embedded and the Gemma pair)."""
_SECOND = 1.0  # what any stage takes at least


def study_cost(context: Context, stages: Sequence[str]) -> Cost:
    """Seconds of the stages that a study has to run.

    Where no range is chosen yet, the middle third of the blocks stands for it: it writes as fast.

    Args:
        context: The study.
        stages: Names of the stages that are asked for and not done.
    """
    parts = {}
    unknown: tuple[str, ...] = ()
    for name, estimate in (("rank", _ranking), ("validate", _text)):
        if name in stages:
            found = estimate(context)
            parts[name], unknown = found.seconds, (*unknown, *found.unknown)
    whole = sum(parts.values())
    others = {name: max(_SECOND, SHARES.get(name, 0.0) * whole) for name in stages if name not in parts}
    return Cost({name: {**parts, **others}[name] for name in stages}, unknown)


def _ranking(context: Context) -> Cost:
    from slr_probe.rank.cost import ranking_cost
    from slr_probe.study.stages.prompts import choose, chosen_format
    from slr_probe.study.stages.ranking import guards_of

    settings, common = context.settings.rank, context.settings.common
    cost = partial(
        ranking_cost,
        task=choose(context, settings.prompts),
        guards=guards_of(settings),
        objective=settings.objective,
        candidates=settings.candidates,
        held_out=settings.held_out,
        soups=settings.soups,
        format=chosen_format(context),
        memory=common.memory,
        temperature=settings.temperature,
        min_p=settings.min_p,
    )
    return by_worker(context.executor, cost, context.pair)


def _text(context: Context) -> Cost:
    from slr_probe.generation import Sampling
    from slr_probe.study.stages.prompts import choose, chosen_format
    from slr_probe.validation.cost import validation_cost

    settings, common, depth = context.settings.validate, context.settings.common, context.pair.depth
    cost = partial(
        validation_cost,
        recipes=f"{depth // 3}:{max(2 * depth // 3, depth // 3 + 1)}",
        tasks=settings.families,
        prompts=settings.prompts or None,
        samples=settings.samples or None,
        max_tokens=settings.max_tokens or None,
        stories=settings.stories or None,
        sampling=Sampling(temperature=settings.temperature, min_p=settings.min_p, seed=common.seed),
        format=chosen_format(context),
        baselines=settings.baselines,
        temperatures=settings.temperatures,
        crc=choose(context, context.settings.rank.prompts),
        memory=common.memory,
        seed=common.seed,
        embedder=settings.embedder or None,
    )
    return by_worker(context.executor, cost, context.pair)

"""`inspect`, `delta`, `lens`, `patching`: what changed, what each layer believes, what it causes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.files import write_json
from slr_probe.pair.notes import doubt
from slr_probe.pair.vocabulary import different_rows
from slr_probe.show.words.format import estimate
from slr_probe.study.folder import ACTIVATION_PATCHING, LOGIT_LENS, PAIR, WEIGHT_DELTA
from slr_probe.study.settings import Settings
from slr_probe.study.stage import Skipped, Stage
from slr_probe.study.stages.prompts import choose, chosen_format, task_key
from slr_probe.study.stages.save import save

if TYPE_CHECKING:
    from slr_probe.study.context import Context


def inspect(context: Context, home: Path) -> str:
    """Compare configs, tokenizers and headers."""
    pair = context.pair
    table, headline = pair.to_dataframe(), repr(pair).splitlines()[0].removeprefix("ModelPair: ")
    write_json(
        home / PAIR,
        {
            "base": str(pair.base_side),
            "tuned": str(pair.tuned_side),
            "headline": headline,
            "depth": pair.depth,
            "vocabulary": len(pair.tokenizer),
            "format": context.settings.common.format or pair.prompts.default_format,
            "notes": list(pair.notes),
            "blocks": table.astype(object).to_dict(orient="records"),
        },
    )
    said = doubt(pair.base_side, pair.tuned_side, pair.notes)
    return f"{headline}. {said}" if said else headline


def delta(context: Context, home: Path) -> str:
    """Measure the change of every weight matrix."""
    from slr_probe.probes.weights.measure import weight_delta

    found = weight_delta(context.pair, spectral=context.settings.delta.spectral, progress=context.progress)
    save(found, home, WEIGHT_DELTA)
    change = found.to_dataframe(by="block").set_index("block")["relative"]
    return f"relative change of blocks {change.min():.3g} to {change.max():.3g}, largest in block {change.idxmax()}"


def _require_one_vocabulary(context: Context) -> None:
    """The rest of a study works on such a pair."""
    rows = different_rows(context.pair.base_side, context.pair.tuned_side)
    if rows is not None:
        raise Skipped(f"base has a vocabulary of {rows[0]} tokens and tuned of {rows[1]}")


def lens(context: Context, home: Path) -> str:
    """Read every block's belief."""
    from slr_probe.probes.lens.lens import logit_lens

    _require_one_vocabulary(context)
    task = choose(context, context.settings.lens.prompts, selection_only=True)
    found = logit_lens(context.pair, task, **_shared(context))
    save(found, home, LOGIT_LENS)
    collapse = found.collapse()
    at = int(np.nanargmax(collapse.estimate))
    return (
        f"{len(found.prompts)} prompts; largest entropy collapse "
        f"{estimate(collapse, at, '+.2f', unit=' nats')} after block {at}"
    )


def patching(context: Context, home: Path) -> str:
    """Patch activations both ways."""
    from slr_probe.probes.patching.patch import patch_activations

    _require_one_vocabulary(context)
    settings = context.settings.patching
    found = patch_activations(
        context.pair,
        choose(context, settings.prompts, selection_only=True),
        components=settings.components,
        window=settings.window,
        positions=settings.positions,
        controls=settings.controls,
        **_shared(context),
    )
    save(found, home, ACTIVATION_PATCHING)
    component = settings.components[0]
    effect = found.effect(found.main_metric, "base->tuned", component)
    at = int(np.nanargmax(effect.estimate))
    return (
        f"{len(found.prompts)} prompts; base into tuned, {component}: largest gain in diversity "
        f"{effect.estimate[at]:+.2f} nats at blocks {found.windows[at]}"
    )


def _shared(context: Context) -> dict[str, Any]:
    """What both probes of activations take."""
    common = context.settings.common
    options = {"format": chosen_format(context), "confidence": common.level, "seed": common.seed}
    return {**options, "progress": context.progress}


def _follows(settings: Settings, **more: Any) -> dict[str, Any]:
    common = settings.common
    shared = {"dtype": common.dtype, "format": common.format, "level": common.level, "seed": common.seed}
    return {"common": shared, "task": task_key(settings.rank.task), **more}


INSPECT = Stage("inspect", "do the two fit", (), lambda settings: {"format": settings.common.format}, inspect)
DELTA = Stage(
    "delta",
    "what changed in the weights",
    (),
    lambda settings: settings.to_dict()["delta"],
    delta,
    asked=lambda settings: settings.delta.enabled,
)
LENS = Stage(
    "lens",
    "where entropy collapses over depth",
    (),
    lambda settings: _follows(settings, lens=settings.to_dict()["lens"]),
    lens,
    asked=lambda settings: settings.lens.enabled,
)
PATCHING = Stage(
    "patching",
    "which blocks' activations cause it",
    (),
    lambda settings: _follows(settings, patching=settings.to_dict()["patching"]),
    patching,
    asked=lambda settings: settings.patching.enabled,
)

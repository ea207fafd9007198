"""What a ranking costs: its steps in proportion, and in seconds from a measured piece of each."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from slr_probe.defaults import MEMORY, SOUPS
from slr_probe.errors import GenerationError, PromptError
from slr_probe.layers import LayerRange
from slr_probe.progress import Cost
from slr_probe.rank.blocks.weights import changed_blocks
from slr_probe.rank.candidates import controls, ranges, references, wider_rows
from slr_probe.rank.guards.bounds import Guards
from slr_probe.rank.guards.supposed import supposed_replies, writing_seconds
from slr_probe.rank.measure import Scorer, read_prompts

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair
    from slr_probe.pair.prompts import Format

_SHARED = 1 / 3
"""What a range costs of a hybrid that is run by itself: ranges share their first blocks."""
_REPLIES = 5.0
"""Sampling replies costs about as much as so many hybrids (ours, from the Gemma pair)."""
_REFERENCES, _CONTROLS, _CURVES = 3, 10, 4
_FIXED = 0.5
"""Seconds that any sweep takes besides: planning, checking that blocks can be replayed (ours)."""
_SHOWN = 1.5
"""Seconds for the table, the figure and the files (ours)."""


def expected_steps(
    depth: int, method: str, proposals: int, soups: int, held_out: int, families: int = 1
) -> dict[str, float]:
    """The steps of a ranking, in hybrids that are run over all prompts.

    Args:
        depth: Blocks of the model.
        method: As `rank_layers` takes it.
        proposals: Likewise.
        soups: Likewise.
        held_out: Likewise; 0 where there are no held-out prompts.
        families: How many families of recipes are measured.
    """
    measured = families * _measured(depth, method, proposals)
    return {
        "replies": _REPLIES,
        "ranges": measured * _SHARED + _REFERENCES + soups,
        "controls": float(_CONTROLS),
        "held-out prompts": float(held_out and families * held_out + _REFERENCES + _CONTROLS),
        "temperatures": float(_CURVES),
    }


def ranking_cost(
    pair: ModelPair,
    task: Any = None,
    method: str = "sweep",
    *,
    guards: Guards | bool | None = True,
    objective: str = "crc",
    proposals: int = 32,
    held_out: int = 10,
    soups: int = SOUPS,
    candidates: Iterable[str] = ("ranges",),
    format: Format | None = None,
    memory: str | int = MEMORY,
    stream: bool | None = None,
    dtype: Any = None,
    temperature: float = 1.0,
    min_p: float = 0.0,
) -> Cost:
    """Seconds that `rank_layers` takes with these options, each part measured on a piece of it.

    The models are loaded, as the ranking needs them. Replies are not sampled: rows of their usual length stand for
    them.

    Raises:
        TaskError: The task has no usable prompts.
        SweepError: The memory limit is too small.
    """
    from slr_probe.sweep.prepare import streams

    engine = {"memory": memory, "stream": stream, "dtype": dtype, "temperature": temperature, "min_p": min_p}
    bounds = Guards.of(guards) or (Guards() if objective != "crc" else None)
    parts: dict[str, float] = {}
    replies = None
    if bounds is not None and not streams(pair, stream, memory):
        with suppress(GenerationError, PromptError):  # the ranking goes without as well, or says why it cannot
            parts["replies"] = writing_seconds(pair, bounds, format)
            replies = supposed_replies(pair, bounds, format)
    prompts = read_prompts(pair, task, format)
    changed = changed_blocks(pair, stream=stream, dtype=dtype)
    scorer = Scorer(pair, prompts.selection, changed, engine, replies=replies)
    every, (others, _) = ranges(pair.depth), references(pair, soups)
    measured = [*every[: _measured(pair.depth, method, proposals)], *others, *wider_rows(pair.depth, set(candidates))]
    beside = controls(LayerRange(0, max(1, pair.depth // 3)), pair.depth, 0)
    whole = scorer.expected_seconds(row.recipe for row in measured)
    if whole is not None:
        pace = whole / scorer.work(row.recipe for row in measured)
        tested = [*every[:held_out], *others[:_REFERENCES], *beside]
        parts["ranges and soups" if soups else "ranges"] = whole + _FIXED
        parts["controls"] = pace * scorer.work(row.recipe for row in beside) + _FIXED
        parts["held-out prompts"] = (
            (pace * scorer.work(row.recipe for row in tested) + _FIXED) if prompts.held_out else 0.0
        )
        parts["temperatures"] = (1 + bool(prompts.held_out)) * (pace * _CURVES * pair.depth / 2 + _FIXED)
    parts["table and figure"] = _SHOWN
    unknown = () if method in ("sweep", "race") else ("the scores of blocks",)
    return Cost(parts, unknown if whole is not None else (*unknown, "the sweeps"))


def _measured(depth: int, method: str, proposals: int) -> int:
    """How many ranges a method measures."""
    every = depth * (depth + 1) // 2
    return {"sweep": every, "race": every, "guided": min(proposals, every)}.get(method, 1)

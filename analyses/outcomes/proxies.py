"""Every cheap score of a recipe that could stand for what it writes: one number a recipe and prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.generation.decode import end_tokens
from slr_probe.rank.blocks.weights import changed_blocks
from slr_probe.rank.guards import Guards, ReplyTable
from slr_probe.rank.guards.ask import read_replies
from slr_probe.rank.guards.repair import repair
from slr_probe.rank.measure import DRAWN, WRITING, Scorer, reply_scores
from slr_probe.stats.entropy import conditional_entropy
from slr_probe.tasks.crc import CRCTask

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair
    from slr_probe.recipe import Recipe

PROXIES = {
    "diversity": "CRC diversity, answer begun",
    "validity": "CRC validity, answer begun",
    "ended_diversity": "CRC diversity, given and ended",
    "ended_validity": "CRC validity, given and ended",
    "spread": "spread: entropy of first tokens",
    "ending": "ending: P(end) at tuned's ends",
    "surprise": "surprise at tuned's replies",
    "drift": "drift: KL to tuned",
    "end_bias": "end bias that repairs the ending",
}
"""Proxies and what figures call them."""


@dataclass(frozen=True)
class Asked:
    """What the proxies are read from.

    Attributes:
        prompts: CRC prompts on which begun answers are scored; 0 for all.
        ended: CRC prompts on which answers are also scored as given and ended, which costs a place for each spelling.
        guards: How many replies are read.
    """

    prompts: int = 0
    ended: int = 8
    guards: Guards = field(default_factory=Guards)


def measure_proxies(
    pair: ModelPair, recipes: Sequence[Recipe], asked: Asked, folder: Path, **engine: Any
) -> dict[str, Float[ndarray, "recipe prompt"]]:
    """All of `PROXIES`; what an earlier call measured is read.

    Args:
        pair: The pair.
        recipes: The recipes, tuned first.
        asked: How much is read.
        folder: Where sweeps and replies are kept.
        **engine: Options of `sweep`.
    """
    options = {"memory": "4GB", "stream": None, "progress": False, **engine}
    task = CRCTask.default().selection
    replies = read_replies(pair, asked.guards, "spread", None, options, folder).selection
    assert replies is not None
    changed = changed_blocks(pair)
    begun = _part(task, asked.prompts).render(pair)
    result = Scorer(pair, begun, changed, options, folder / "begun", replies).sweep(recipes, grid=[WRITING, DRAWN])
    table = ReplyTable(replies.prompt, replies.place, reply_scores(result))
    given = _part(task, asked.ended).render(pair, ends=end_tokens(pair))
    ended = Scorer(pair, given, changed, options, folder / "ended").sweep(recipes)
    assert ended.ended_validity is not None
    spread = conditional_entropy(ended.ended_logprobs[:, :, 0]) / np.log(ended.sizes)
    bias = [repair(table, None, row, 0).bias for row in range(len(recipes))]
    return {
        "diversity": np.nan_to_num(result.diversity),
        "validity": result.validity,
        "ended_diversity": np.nan_to_num(spread),
        "ended_validity": ended.ended_validity,
        "spread": table.spread,
        "ending": table.ending,
        "surprise": table.surprise,
        "drift": table.drift,
        "end_bias": np.array(bias)[:, None],
    }


def _part(task: CRCTask, count: int) -> CRCTask:
    """Some prompts of a task, evenly spaced."""
    items = task.items
    places = np.linspace(0, len(items) - 1, min(count, len(items)) or len(items)).round().astype(int)
    return CRCTask(tuple(items[at] for at in places), task.name)

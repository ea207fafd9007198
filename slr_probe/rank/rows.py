"""`RankedRows`: what was measured of every range, and what ranges are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from slr_probe.defaults import LEVEL, RESAMPLES
from slr_probe.layers import LayerRange
from slr_probe.rank.guards.bounds import Guards
from slr_probe.rank.guards.judge import Judge
from slr_probe.rank.guards.table import SCORES, ReplyTable
from slr_probe.rank.race.record import RaceRecord
from slr_probe.recipe import Recipe
from slr_probe.result import Result

Objective = Literal["crc", "spread", "both"]


def _no_reads() -> Int[ndarray, " read"]:
    return np.zeros(0, dtype=np.int64)


def _no_scores() -> Float[ndarray, "row read score"]:
    return np.zeros((0, 0, len(SCORES)))


def _no_curve() -> Float[ndarray, "model temperature prompt"]:
    return np.zeros((0, 0, 0))


def _no_ended() -> Float[ndarray, "row ended"]:
    return np.zeros((0, 0))


def _no_order() -> Float[ndarray, "model prompt 2"]:
    return np.zeros((0, 0, 2))


@dataclass(frozen=True, eq=False, repr=False)
class RankedRows(Result):
    """Every contiguous range with its scores, and what ranges are compared with.

    A row is a range (`kinds == "range"`) or what ranges are compared with: `"tuned"`, `"base"`, `"full"` (all blocks
    restored), `"soup"` (21 uniform interpolations), restorations of as many blocks as the best range has (`"early"`,
    `"late"` and `"random"` sets), and ranges restored in part (`"attention"`, `"mlp"`, `"half"`). Rows that a method
    did not measure hold NaN.

    Attributes:
        kinds: What each row is.
        validity: Probability mass on the valid answers, on the selection prompts.
        diversity: Entropy over the valid answers as a fraction of log |V|, on the selection prompts.
        held_validity: The same on the held-out prompts, which no choice was made on.
        held_diversity: The same on the held-out prompts.
        score: What the method's block scores add up to; NaN for `"sweep"`. For `"race"`: selection prompts that a range
            was seen on before it left.
        block_gain: The method's score of each block; NaN for `"sweep"` and `"race"`.
        changed: Blocks that differ between base and tuned; ranges that differ elsewhere only are equal.
        recipe_data: The recipe of each row as plain data; read `recipes`.
        method: How ranges were proposed.
        floor: Share of tuned's validity that must be kept.
        categories: Category of each selection prompt, within which the bootstrap draws; empty for none.
        held_categories: Category of each held-out prompt.
        level: Nominal coverage of the intervals.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap, of the random controls and of the replies.
        objective: What is maximised: `"crc"` (diversity), `"spread"` of the first tokens of replies, or `"both"`.
        guards: Bounds on what a range says to replies, as `Guards.to_dict` writes them; None for the paper's rule.
        reply_prompt: Prompt of each place of a reply that is read, on the selection prompts.
        reply_place: What each is read for, see `slr_probe.rank.guards.table.Place`.
        reply_scores: What each row says there, see `slr_probe.rank.guards.table.SCORES`.
        held_reply_prompt: The same on the held-out prompts.
        held_reply_place: The same on the held-out prompts.
        held_reply_scores: The same on the held-out prompts.
        curve_rows: Rows that were read out at every temperature of `slr_probe.rank.frontier.TEMPERATURES` as well:
            tuned and the best range.
        curve_validity: Validity of these rows, on the selection prompts.
        curve_diversity: Diversity, likewise.
        held_curve_validity: Validity on the held-out prompts.
        held_curve_diversity: Diversity on the held-out prompts.
        curve_entropy: Entropy of the next token inside replies (selection), in nats; of all tokens that min-p leaves.
        curve_drift: KL to tuned at temperature 1 there, in nats.
        curve_order: How these rows rank answers above other tokens, see `slr_probe.forward.calibration`.
        held_curve_order: The same on the held-out prompts.
        ended_validity: Probability that a reply is nothing but an answer, given and ended, where that was asked for: of
            the rows that are scored on held-out prompts, there, or on the selection prompts where there are none.
        reply_texts: The replies: prompt, who wrote it, text, and whether it ended by itself.
        race: Which range left a race when and why, as `RaceRecord.to_dict` writes it; None for other methods. Read
            `raced`.
        settings: Task, prompt format and engine settings.
        notes: What a reader should know, such as dropped prompts.
    """

    kinds: ndarray
    validity: Float[ndarray, "row prompt"]
    diversity: Float[ndarray, "row prompt"]
    held_validity: Float[ndarray, "row held"]
    held_diversity: Float[ndarray, "row held"]
    score: Float[ndarray, " row"]
    block_gain: Float[ndarray, " block"]
    changed: Bool[ndarray, " block"]
    recipe_data: tuple[Mapping[str, Any], ...]
    method: str
    floor: float
    categories: tuple[str, ...] = ()
    held_categories: tuple[str, ...] = ()
    level: float = LEVEL
    resamples: int = RESAMPLES
    seed: int = 0
    objective: Objective = "crc"
    guards: Mapping[str, Any] | None = None
    reply_prompt: Int[ndarray, " read"] = field(default_factory=_no_reads)
    reply_place: Int[ndarray, " read"] = field(default_factory=_no_reads)
    reply_scores: Float[ndarray, "row read score"] = field(default_factory=_no_scores)
    held_reply_prompt: Int[ndarray, " held_read"] = field(default_factory=_no_reads)
    held_reply_place: Int[ndarray, " held_read"] = field(default_factory=_no_reads)
    held_reply_scores: Float[ndarray, "row held_read score"] = field(default_factory=_no_scores)
    curve_rows: Int[ndarray, " model"] = field(default_factory=_no_reads)
    curve_validity: Float[ndarray, "model temperature prompt"] = field(default_factory=_no_curve)
    curve_diversity: Float[ndarray, "model temperature prompt"] = field(default_factory=_no_curve)
    held_curve_validity: Float[ndarray, "model temperature held"] = field(default_factory=_no_curve)
    held_curve_diversity: Float[ndarray, "model temperature held"] = field(default_factory=_no_curve)
    curve_entropy: Float[ndarray, "model temperature reply_prompt"] = field(default_factory=_no_curve)
    curve_drift: Float[ndarray, "model temperature reply_prompt"] = field(default_factory=_no_curve)
    curve_order: Float[ndarray, "model prompt 2"] = field(default_factory=_no_order)
    held_curve_order: Float[ndarray, "model held 2"] = field(default_factory=_no_order)
    ended_validity: Float[ndarray, "row ended"] = field(default_factory=_no_ended)
    reply_texts: tuple[Mapping[str, Any], ...] = ()
    race: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    # -- rows ----------------------------------------------------------------------------------------------------

    @property
    def depth(self) -> int:
        """Number of decoder blocks."""
        return len(self.changed)

    @cached_property
    def ranges(self) -> tuple[LayerRange, ...]:
        """All ranges: the first rows."""
        return tuple(LayerRange.all(self.depth))

    @cached_property
    def recipes(self) -> tuple[Recipe, ...]:
        """Recipe of each row."""
        return tuple(Recipe.from_dict(data) for data in self.recipe_data)

    @cached_property
    def tuned(self) -> int:
        """Row of tuned."""
        return int(self.rows("tuned")[0])

    def rows(self, kind: str) -> Int[ndarray, " found"]:
        """Indices of the rows of one kind."""
        return np.flatnonzero(self.kinds == kind)

    @cached_property
    def measured(self) -> Bool[ndarray, " row"]:
        """Rows with measured scores."""
        return np.asarray(np.isfinite(self.validity).all(axis=1))

    @cached_property
    def raced(self) -> RaceRecord | None:
        """Which range left a race when and why, and how sure that is; None for other methods."""
        return None if self.race is None else RaceRecord.from_dict(self.race)

    # -- replies -------------------------------------------------------------------------------------------------

    @cached_property
    def has_replies(self) -> bool:
        """Whether replies were read."""
        return len(self.reply_prompt) > 0

    @cached_property
    def judge(self) -> Judge:
        """The guards, on the selection prompts."""
        return self._judge(ReplyTable(self.reply_prompt, self.reply_place, self.reply_scores))

    @cached_property
    def held_judge(self) -> Judge:
        """The guards, on replies to held-out prompts."""
        return self._judge(ReplyTable(self.held_reply_prompt, self.held_reply_place, self.held_reply_scores))

    def _judge(self, table: ReplyTable) -> Judge:
        return Judge(table, None if self.guards is None else Guards.from_dict(self.guards), self.tuned)

"""A race of all ranges of a pair: which of them are worth measuring on everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slr_probe.rank.blocks.propose import Proposal
from slr_probe.rank.candidates import Row
from slr_probe.rank.guards.bounds import Guards
from slr_probe.rank.measure import Scorer
from slr_probe.rank.race.contest import SweptContest
from slr_probe.rank.race.race import Race
from slr_probe.rank.race.record import RaceRecord
from slr_probe.recipe import Recipe
from slr_probe.sweep.prefixes.trie import BlockPath, build_trie


@dataclass(frozen=True)
class Rules:
    """How ranges race.

    Attributes:
        floor: Share of tuned's validity that must be kept.
        guards: Bounds on what is said to replies; None for none.
        by_diversity: Whether diversity is what is maximised; else floors alone make ranges leave.
        error: Bound on the probability that the best range leaves.
        seed: Seed of the order of the prompts.
    """

    floor: float
    guards: Guards | None
    by_diversity: bool
    error: float
    seed: int


def race_ranges(selection: Scorer, candidates: Sequence[Row], rules: Rules) -> tuple[Proposal, RaceRecord]:
    """Race all distinct hybrids; ranges that are the same hybrid share its fate.

    Args:
        selection: Scores recipes on all selection prompts.
        candidates: The ranges.
        rules: How they race.

    Returns:
        The ranges to measure, and what happened to each.
    """
    hybrids = [selection.canonical(row.recipe) for row in candidates]
    distinct = list(dict.fromkeys(hybrids))
    contest = SweptContest(selection, distinct, rules.guards, rules.seed)
    race = Race(contest, len(distinct), rules.floor, rules.error, rules.seed, diversity=rules.by_diversity).run()
    exits = dict(zip(distinct, race.exits, strict=True))
    record = RaceRecord(
        rules.error,
        tuple(race.heats),
        tuple(exits[hybrid] for hybrid in hybrids),
        contest.evaluations + evaluations([distinct[i] for i in race.stayed]) * selection.rows,
        evaluations(distinct) * selection.rows,
    )
    seen = [len(selection.queries) if left is None else left.prompts for left in record.exits]
    unknown = np.full(selection.pair.depth, np.nan)
    stayed = [row for row, left in enumerate(record.exits) if left is None]
    return Proposal(stayed, np.array(seen, dtype=float), unknown), record


def evaluations(recipes: Sequence[Recipe]) -> int:
    """Block evaluations a prompt for some recipes, each distinct prefix of blocks once."""
    if not recipes:
        return 0
    paths = [BlockPath(one.embedding, one.blocks, (one.embedding, one.final_norm, one.head)) for one in recipes]
    return build_trie(paths).evaluations

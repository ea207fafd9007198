"""`rank_layers`: propose the range of blocks to restore."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.defaults import FLOOR, LEVEL, MEMORY, RESAMPLES, SOUPS
from slr_probe.executor import Executor, executes
from slr_probe.log import Log, check_log, tell
from slr_probe.pair.given import check_pair
from slr_probe.pair.prompts import Format
from slr_probe.progress import course
from slr_probe.rank.blocks.propose import propose
from slr_probe.rank.blocks.scorers import SCORERS, find_block_scorer
from slr_probe.rank.blocks.weights import changed_blocks
from slr_probe.rank.candidates import controls, ranges, references, wider_rows
from slr_probe.rank.check import (
    check_aim,
    check_candidates,
    check_ended,
    check_engine,
    check_method,
    check_numbers,
    check_tuned,
)
from slr_probe.rank.collect import Search
from slr_probe.rank.cost import expected_steps
from slr_probe.rank.findings.points import points
from slr_probe.rank.guards.ask import AskedReplies, read_replies
from slr_probe.rank.guards.bounds import Guards
from slr_probe.rank.measure import Prompts, Scorer, read_prompts
from slr_probe.rank.race.ranges import Rules, race_ranges
from slr_probe.rank.ranking import RangeRanking
from slr_probe.rank.rows import Objective
from slr_probe.rank.scores import VERIFIED

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair

METHODS = (*VERIFIED, *SCORERS)
_UNCHANGED = "no block differs between base and tuned: every range is the tuned model"


@executes
def rank_layers(
    pair: ModelPair,
    task: Any = None,
    method: str = "sweep",
    floor: float = FLOOR,
    *,
    guards: Guards | bool | None = True,
    objective: Objective = "crc",
    scorer: str = "attribution",
    proposals: int = 32,
    held_out: int = 10,
    soups: int = SOUPS,
    candidates: Iterable[str] = ("ranges",),
    ended: bool = False,
    format: Format | None = None,
    temperature: float = 1.0,
    min_p: float = 0.0,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
    memory: str | int = MEMORY,
    stream: bool | None = None,
    dtype: Any = None,
    out: str | os.PathLike[str] | None = None,
    executor: Executor | str | None = None,
    log: Log | None = None,
    progress: bool | None = None,
) -> RangeRanking:
    """Rank every contiguous range by the diversity that restoring it brings, subject to a floor on validity.

    The objective is that of Selective Layer Restoration (arXiv 2602.06665): most diversity among the ranges whose
    validity is at least `floor` times that of tuned. Guards (ours) ask besides that a range deals with whole replies of
    tuned as tuned does: that it ends its turns as often and is not much more surprised. There may be no such range.
    Choices are made on the selection prompts; the best ranges, references and controls are then scored on held-out
    prompts. Ranges that restore the same changed blocks
    are one hybrid and tie exactly: the narrowest of them is preferred.

    Args:
        pair: Base and tuned.
        task: A `CRCTask`, the path of one, a list of its items, or anything with `queries(pair)` (then without
            held-out prompts); default: `CRCTask.default()`.
        method: `"sweep"` measures every range. `"race"` (ours) drops ranges that some of the prompts speak against and
            measures the others on all of them. `"guided"` measures the best `proposals` of a cheap `scorer`.
            `"patching"`, `"entropy"`, `"delta"`, `"attribution"` and `"mask"` order ranges by the sum of block scores
            and measure only the first.
        floor: Share of tuned's mean validity that a range must keep, above 0 and up to 1.
        guards: Bounds on what a range says to replies that tuned wrote: `Guards`, True for the usual ones where
            replies can be sampled (not from a pair that is streamed), None for the paper's rule.
        objective: What is maximised: `"crc"`, the diversity of the task; `"spread"`, the entropy of the first tokens of
            replies to open prompts; or `"both"`.
        scorer: Which cheap method proposes, for `"guided"`. The default holds both models and one gradient in memory;
            `"patching"` also works on streamed pairs.
        proposals: How many ranges `"guided"` measures.
        held_out: How many of the best ranges are scored on held-out prompts.
        soups: How many uniform soups to measure as well, evenly from base to tuned; 0 for none. They share no
            work with ranges: each is a pass over mixed weights.
        candidates: Families of recipes: `"ranges"` of whole blocks, which are always measured and chosen from, and
            beside them `"attention"` or `"mlp"` (of every range alone) and `"half"` (every range at a share of 0.5);
            the best of each is compared with the best range.
        ended: Also read how likely a reply is nothing but an answer, given and ended, for the rows that are scored on
            held-out prompts (on the selection prompts where there are none).
        format: Prompt format of all models; default: chat where there is a chat template. Base is measured on plain
            prompts as well (in `settings`), as a chat template is off-distribution for it.
        temperature: Temperature of the distributions that are scored.
        min_p: Min-p of the distributions that are scored.
        level: Nominal coverage of the intervals; 1 less the error budget of a race.
        resamples: Bootstrap resamples over prompts.
        seed: Seed of the bootstrap, of the random controls and of the order of the prompts in a race.
        memory: What the sweep may use.
        stream: Read weights block by block from the checkpoints; default: where they would not fit.
        dtype: Dtype to compute in; default: the pair's.
        out: Folder for results as they come; the same call goes on there after a kill, and one with
            another seed or floor takes from there what does not depend on it.
        executor: Who samples replies and does the sweeps: `"local"`, `"ray"`, `"ray://HOST:PORT"` or an `Executor`;
            default: this process, uncut. See `slr_probe.executor`.
        log: Called once with numbers by name and a step, to log them elsewhere; see `slr_probe.log`.
        progress: Whether to show progress bars; None shows them on a terminal and in Jupyter.

    Raises:
        RankingError: An unknown method, scorer, objective or family, `ended` of other than CRC prompts, guards where
            no replies can be sampled, a floor, level, count or seed out of its range, or a tuned model that gives no
            valid answer any probability.
        TaskError: The task has no usable prompts.
        SweepError: The memory limit is too small or no size, a temperature, min-p or dtype is none, or `out` holds
            sweeps with other prompts, settings or checkpoints.
        ExecutorError: No such executor, or it cannot do the work.

    Examples:
        >>> ranking = rank_layers(ModelPair.load(base, tuned))  # doctest: +SKIP
        >>> ranking.choice.layers  # doctest: +SKIP
        LayerRange('14:18')
    """
    check_pair(pair)
    check_log(log)
    check_method(method, METHODS)
    block_scorer = find_block_scorer(scorer if method in VERIFIED else method)
    check_aim(objective, floor)
    families = check_candidates(candidates, method)
    soups = {True: SOUPS, False: 0}[soups] if isinstance(soups, bool) else soups  # was a yes or no; for one release
    check_numbers({"proposals": proposals, "held_out": held_out, "resamples": resamples}, level, seed, soups)
    engine = {"memory": memory, "stream": stream, "dtype": dtype, "temperature": temperature, "min_p": min_p}
    check_engine(engine)
    bounds, guided = Guards.of(guards), method == "guided"
    prompts = check_ended(ended, read_prompts(pair, task, format))
    changed = changed_blocks(pair, stream=stream, dtype=dtype)
    steps = expected_steps(pair.depth, method, proposals, soups, held_out * bool(prompts.held_out), 1 + len(families))
    with course("rank", steps, show=progress):
        engine |= {"progress": progress, "executor": executor}
        replies = read_replies(pair, bounds, objective, format, engine, out)
        selection = Scorer(pair, prompts.selection, changed, engine, _folder(out, "selection"), replies.selection)
        tested = _held_out(pair, prompts, changed, engine, out, replies)
        whole, (others, notes) = ranges(pair.depth), references(pair, soups)
        if min_p > 0:  # else there is always some probability, and tuned is swept with the rest
            check_tuned(selection.validity_of_tuned(), min_p)
        if method == "race":
            rules = Rules(floor, bounds, by_diversity=objective == "crc", error=1 - level, seed=seed)
            proposal, record = race_ranges(selection, whole, rules)
        else:
            scores = None if method == "sweep" else block_scorer(selection)
            proposal, record = propose(selection, whole, scores, floor, proposals if guided else 1), None
        fields = {
            **{"method": method, "floor": float(floor), "objective": objective},
            **{"level": level, "resamples": resamples, "seed": seed},
            "race": None if record is None else record.to_dict(),
            "guards": bounds.to_dict() if bounds is not None and replies.selection is not None else None,
            "changed": np.isin(np.arange(pair.depth), list(changed)),
            "notes": (*prompts.notes, *notes, *replies.notes, *(() if changed else (_UNCHANGED,))),
            **replies.fields(pair),
        }
        search = Search(selection, tested, proposal, [*whole, *others, *wider_rows(pair.depth, families)], fields)
        first = search.scores()
        check_tuned(selection.validity_of_tuned(), min_p)
        search.rows += controls(first.ranges[int(first.order[0])], pair.depth, seed)
        asked = {"task": getattr(task, "name", None) or "CRC", "scorer": scorer if guided else None}
        ranking = search.ranking(first, held_out, asked, ended=ended)
    tell(log, points(ranking, ranking.choice))
    return ranking


def _held_out(
    pair: ModelPair, prompts: Prompts, changed: frozenset[int], engine: dict[str, Any], out: Any, replies: AskedReplies
) -> Scorer | None:
    """Scores recipes on the held-out prompts; None where there are none."""
    if not prompts.held_out:
        return None
    return Scorer(pair, prompts.held_out, changed, engine, _folder(out, "held-out"), replies.held_out)


def _folder(out: str | os.PathLike[str] | None, name: str) -> Path | None:
    return None if out is None else Path(out) / name

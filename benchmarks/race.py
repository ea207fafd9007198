"""Racing against measuring every range: how often it chooses the same, and what it costs.

    python benchmarks/race.py RANKING.npz [...] [--sets 200] [--json FILE]      from rankings by 'sweep', no model runs
    python benchmarks/race.py --pair BASE TUNED [--dtype float32]               both methods, timed

From a ranking of every range, prompts (within their categories) and prompts of replies are drawn anew with replacement;
each drawn set is searched in full and raced. A choice is called stable as the package calls it: by the share of
bootstrap resamples of its set in which it is chosen again. Cost counts block evaluations, each distinct prefix of
blocks once, times prompts and replies, of the race and of scoring the ranges that are left on everything.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from slr_probe import ModelPair, rank_layers
from slr_probe.rank import RangeRanking
from slr_probe.rank.compare import stability
from slr_probe.rank.guards.judge import LITTLE_SURPRISE
from slr_probe.rank.race.race import Race
from slr_probe.stats.bootstrap import resample_counts
from slr_probe.sweep.prefixes.trie import BlockPath, build_trie


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rankings", nargs="*", type=Path)
    parser.add_argument("--pair", nargs=2, metavar=("BASE", "TUNED"))
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--error", type=float, default=0.05)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    found: dict[str, Any] = {}
    for path in args.rankings:
        ranking = RangeRanking.load(path)
        for name, one in (("", ranking), (", without guards", replace(ranking, guards=None))):
            if not name or ranking.guards is not None:
                found[path.stem + name] = simulate(one, args.sets, args.error)
                print(f"{path.stem + name:32}" + "".join(f"  {k} {v:.3g}" for k, v in found[path.stem + name].items()))
    if args.pair:
        found["timed"] = timed(*args.pair, args.dtype)
        print(found["timed"])
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


@dataclass(frozen=True)
class Drawn:
    """A ranking on prompts that are drawn anew, as a contest.

    Attributes:
        ranking: The ranking of every range.
        questions: The prompts.
        replies: The prompts of replies.
        cost: Block evaluations times prompts of each part that was asked for.
    """

    ranking: RangeRanking
    questions: np.ndarray
    replies: np.ndarray
    cost: list[float]

    @cached_property
    def columns(self) -> dict[Any, np.ndarray]:
        """What every row gives on the drawn prompts."""
        one = self.ranking
        guards = {guard: one.judge.values(guard)[:, self.replies] for guard in one.judge.asked}
        return {"validity": one.validity[:, self.questions], "diversity": one.diversity[:, self.questions], **guards}

    @property
    def tuned(self) -> dict[Any, np.ndarray]:
        """What tuned gives."""
        return {name: values[[self.ranking.tuned]] for name, values in self.columns.items()}

    @property
    def bounds(self) -> dict[Any, tuple[float, float]]:
        """What each guard lets pass, on the drawn replies."""
        judge = self.ranking.judge
        found = {guard: judge.bounds(guard) for guard in judge.asked}
        if "surprise" in found and judge.guards is not None:
            own = self.tuned["surprise"].mean()
            found["surprise"] = (-np.inf, max(judge.guards.surprise, 1 + LITTLE_SURPRISE / own))
        return found

    def part(self, rows: Sequence[int], questions: Sequence[int], replies: Sequence[int]) -> dict[Any, np.ndarray]:
        """Some rows on some of the drawn prompts."""
        self.cost.append(evaluations(self.ranking, rows) * (len(questions) + len(replies)))
        places = {"validity": list(questions), "diversity": list(questions)}
        return {name: values[list(rows)][:, places.get(name, list(replies))] for name, values in self.columns.items()}

    def whole(self, rows: Sequence[int]) -> dict[Any, np.ndarray]:
        """Some rows on all drawn prompts."""
        return {name: values[list(rows)] for name, values in self.columns.items()}


def evaluations(ranking: RangeRanking, rows: Sequence[int]) -> int:
    """Block evaluations a prompt for some ranges."""
    recipes = [ranking.ranges[row] for row in rows]
    paths = [BlockPath(0, tuple(i in r and bool(ranking.changed[i]) for i in range(ranking.depth)), 0) for r in recipes]
    return build_trie(paths).evaluations if paths else 0


def simulate(ranking: RangeRanking, sets: int, error: float) -> dict[str, float]:
    """Race and full search on prompt sets that are drawn anew."""
    rng = np.random.default_rng(0)
    rows = distinct(ranking)
    counts = resample_counts(ranking.validity.shape[1], sets, 1, ranking.categories or None)
    reads = ranking.judge.values("ending").shape[1] if ranking.judge.asked else 0
    outcomes = []
    for number in range(sets):
        questions = np.repeat(np.arange(counts.shape[1]), counts[number])
        drawn = Drawn(ranking, questions, rng.integers(reads, size=reads) if reads else np.zeros(0, int), [])
        outcomes.append(compare(drawn, rows, error, number))
    table = {name: np.array([one[name] for one in outcomes], dtype=float) for name in outcomes[0]}
    stable = table["stable"] > 0
    other = table["same"][~stable] + (1 - table["same"][~stable]) * (np.abs(table["lost"][~stable]) <= 0.01)
    return {
        "sets": sets,
        "stable": int(stable.sum()),
        "same where stable": float(table["same"][stable].mean()) if stable.any() else np.nan,
        "same": float(table["same"].mean()),
        "same or within 0.01 elsewhere": float(other.mean()) if len(other) else np.nan,
        "best left": float(table["left"].mean()),
        "cost": float(table["cost"].mean()),
        "cost, 90th percentile": float(np.quantile(table["cost"], 0.9)),
        "stayed": float(table["stayed"].mean()),
    }


def distinct(ranking: RangeRanking) -> list[int]:
    """The narrowest range of each distinct hybrid."""
    found: dict[tuple[int, ...], int] = {}
    for row in sorted(range(len(ranking.ranges)), key=lambda i: (ranking.ranges[i].width, ranking.ranges[i].start)):
        found.setdefault(tuple(i for i in ranking.ranges[row] if ranking.changed[i]), row)
    return [row for blocks, row in found.items() if blocks]


def compare(drawn: Drawn, rows: list[int], error: float, seed: int) -> dict[str, float]:
    """One drawn set: whether the race ends with the same choice, and its cost as a share of the full search's."""
    contest = _Renumbered(drawn, rows)
    race = Race(contest, len(rows), drawn.ranking.floor, error, seed).run()
    full = choose(drawn, rows)
    mine = choose(drawn, [rows[i] for i in race.stayed])
    diversity = drawn.columns["diversity"].mean(axis=1)
    tuned = drawn.ranking.tuned
    everything = len(drawn.questions) + len(drawn.replies)
    last = evaluations(drawn.ranking, [rows[i] for i in race.stayed]) * everything
    return {
        "same": full == mine,
        "left": full is not None and race.exits[rows.index(full)] is not None,
        "lost": diversity[tuned if full is None else full] - diversity[tuned if mine is None else mine],
        "stable": full is not None and chosen_again(drawn, rows, full) == "stable",
        "cost": (sum(drawn.cost) + last) / (evaluations(drawn.ranking, rows) * everything),
        "stayed": len(race.stayed),
    }


@dataclass(frozen=True)
class _Renumbered:
    drawn: Drawn
    rows: list[int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "tuned", self.drawn.tuned)
        object.__setattr__(self, "bounds", self.drawn.bounds)

    def part(self, rows: Sequence[int], questions: Sequence[int], replies: Sequence[int]) -> dict[Any, np.ndarray]:
        return self.drawn.part([self.rows[i] for i in rows], questions, replies)

    def whole(self, rows: Sequence[int]) -> dict[Any, np.ndarray]:
        return self.drawn.whole([self.rows[i] for i in rows])


def choose(drawn: Drawn, rows: list[int], counts: Any = None) -> int | None:
    """The most diverse of some ranges that keeps all floors and gains on tuned; the first of equal ones."""
    ranking, columns = drawn.ranking, drawn.columns
    kept = allowed(drawn, rows)
    value = np.where(kept, columns["diversity"][rows].mean(axis=1), -1.0)
    if not len(rows) or value.max() <= columns["diversity"][ranking.tuned].mean() + 1e-9:
        return None
    return rows[int(np.flatnonzero(value >= value.max() - 1e-9)[0])]


def allowed(drawn: Drawn, rows: list[int]) -> np.ndarray:
    ranking, columns = drawn.ranking, drawn.columns
    validity = columns["validity"]
    kept = validity[rows].mean(axis=1) >= ranking.floor * validity[ranking.tuned].mean() - 1e-9
    for guard, (low, high) in drawn.bounds.items():
        means = columns[guard].mean(axis=1)
        share = means[rows] if guard == "drift" else means[rows] / means[ranking.tuned]
        kept &= (share >= low - 1e-9) & (share <= high + 1e-9)
    return kept


def chosen_again(drawn: Drawn, rows: list[int], full: int) -> str:
    rng = np.random.default_rng(3)
    again = 0
    for _ in range(100):
        questions = rng.choice(drawn.questions, len(drawn.questions))
        replies = rng.choice(drawn.replies, len(drawn.replies)) if len(drawn.replies) else drawn.replies
        again += choose(Drawn(drawn.ranking, questions, replies, []), rows) == full
    return stability(again / 100)


def timed(base: str, tuned: str, dtype: str) -> dict[str, Any]:
    """Both methods on a pair."""
    pair = ModelPair.load(base, tuned, dtype=dtype)
    found = {}
    for method in ("race", "sweep"):
        start = time.perf_counter()
        ranking = rank_layers(pair, method=method, soups=0, progress=False)
        found[method] = {"seconds": time.perf_counter() - start, "choice": str(ranking.choice.layers)}
    return found


if __name__ == "__main__":
    main()

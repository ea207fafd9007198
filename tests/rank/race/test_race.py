"""Races over tables of numbers, without a model."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from slr_probe.rank.race.race import BLOCKS, LEADERS, MARGIN, Race

PROMPTS, REPLIES, ROWS = 40, 20, 30


@dataclass
class Tables:
    """A contest over tables; the first row is tuned, and does not race."""

    columns: dict
    bounds: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)
    scored: list = field(default_factory=list)

    @property
    def tuned(self):
        return {name: values[:1] for name, values in self.columns.items()}

    def part(self, rows, questions, replies):
        self.asked.append((tuple(rows), tuple(questions), tuple(replies)))
        where = {name: questions if name in ("validity", "diversity") else replies for name in self.columns}
        return {name: values[1:][rows][:, where[name]] for name, values in self.columns.items()}

    def whole(self, rows):
        self.scored += rows
        return {name: values[1:][rows] for name, values in self.columns.items()}


def noisy(rng, means, count, noise):
    """Numbers in [0, 1] around some means, with a part that all rows share."""
    shared = rng.normal(0, noise, count)
    return np.clip(np.asarray(means)[:, None] + shared + rng.normal(0, noise / 2, (len(means), count)), 0, 1)


def tables(seed, *, bounds=None, noise=0.1):
    """Some rows that are too invalid, some that are too little diverse, some that fail a guard, and better ones."""
    rng = np.random.default_rng(seed)
    validity = np.array([0.8, *rng.choice([0.1, 0.5, 0.76, 0.8], ROWS)])
    diversity = np.array([0.3, *rng.uniform(0.2, 0.7, ROWS)])
    columns = {
        "validity": noisy(rng, validity, PROMPTS, noise),
        "diversity": noisy(rng, diversity, PROMPTS, noise),
        "ending": noisy(rng, [0.7, *rng.choice([0.05, 0.7], ROWS)], REPLIES, noise),
        "surprise": 3 * noisy(rng, [0.3, *rng.choice([0.3, 0.9], ROWS)], REPLIES, noise),
    }
    return Tables(columns, {} if bounds is None else bounds)


def best(contest, floor=0.9):
    """The most diverse row that keeps all floors on everything, by brute force; None where none does or gains."""
    means = {name: values.mean(axis=1) for name, values in contest.columns.items()}
    kept = means["validity"][1:] >= floor * means["validity"][0]
    for guard, (low, high) in contest.bounds.items():
        share = means[guard][1:] / means[guard][0]
        kept &= (share >= low) & (share <= high)
    value = np.where(kept, means["diversity"][1:], -1)
    return int(value.argmax()) if value.max() > means["diversity"][0] else None


def race(contest, seed=0, **options):
    return Race(contest, ROWS, 0.9, options.pop("error", 0.05), seed, **options).run()


BOUNDS = {"ending": (0.9, 1.1), "surprise": (-np.inf, 1.1)}


@pytest.mark.parametrize("bounds", [None, BOUNDS], ids=["validity", "guards"])
def test_the_best_stays_or_one_that_is_no_more_than_the_margin_behind(bounds):
    lost = []
    for seed in range(60):
        contest = tables(seed, bounds=bounds)
        wanted, stayed = best(contest), race(contest, seed).stayed
        diversity = contest.columns["diversity"].mean(axis=1)
        columns = {name: values[[0, *(row + 1 for row in stayed)]] for name, values in contest.columns.items()}
        found = best(Tables(columns, contest.bounds))
        lost.append(
            diversity[0 if wanted is None else wanted + 1] - diversity[0 if found is None else stayed[found] + 1]
        )
    assert np.mean(np.array(lost) > MARGIN) <= 0.05


@pytest.mark.parametrize("bounds", [None, BOUNDS], ids=["validity", "guards"])
def test_most_leave_early_and_what_left_is_not_asked_again(bounds):
    contest = tables(1, bounds=bounds)
    found = race(contest)
    assert len(found.stayed) < ROWS / 2
    for (rows, *_), (later, *_) in zip(contest.asked, contest.asked[1:], strict=False):
        assert set(later) < set(rows)
    for number, (rows, *_) in enumerate(contest.asked, start=1):
        gone = {row for row, left in enumerate(found.exits) if left is not None and left.heat < number}
        assert gone.isdisjoint(rows)
    seen = [question for _, questions, _ in contest.asked for question in questions]
    assert len(seen) == len(set(seen)) <= np.ceil(BLOCKS[-1] * PROMPTS)
    assert set(contest.scored) <= set(found.stayed)


def test_heats_and_exits_add_up():
    contest = tables(2, bounds=BOUNDS)
    found = race(contest)
    exits = [left for left in found.exits if left is not None]
    for number, heat in enumerate(found.heats, start=1):
        assert heat.left == sum(left.heat == number for left in exits)
        assert {left.prompts for left in exits if left.heat == number} <= {heat.prompts}
        assert heat.scored <= LEADERS
    assert found.heats[0].replies == 0 < found.heats[1].replies
    assert len(found.stayed) + len(exits) == ROWS


def test_each_leaves_at_the_hurdle_that_it_fails():
    columns = {
        "validity": np.repeat([[0.8], [0.8], [0.1], [0.8], [0.79], [0.8]], PROMPTS, axis=1),
        "diversity": np.repeat([[0.3], [0.6], [0.9], [0.4], [0.9], [0.59]], PROMPTS, axis=1),
        "ending": np.repeat([[0.7], [0.7], [0.7], [0.7], [0.0], [0.7]], REPLIES, axis=1),
    }
    contest = Tables(columns, {"ending": (0.9, 1.1)})
    found = Race(contest, 5, 0.9, 0.05, 0).run()
    why = {row: left.by for row, left in enumerate(found.exits) if left is not None}
    assert why == {1: "validity", 2: "diversity"} or why == {1: "validity", 2: "diversity", 4: "diversity"}
    assert 0 in found.stayed


def test_where_diversity_is_not_asked_only_floors_stop():
    contest = tables(3, bounds=BOUNDS)
    found = race(contest, diversity=False)
    assert {left.by for left in found.exits if left is not None} <= {"validity", "ending", "surprise"}


def test_a_small_error_lets_fewer_leave():
    contest = tables(4)
    assert len(race(contest, error=1e-9).stayed) > len(race(contest, error=0.2).stayed)


def test_the_order_of_prompts_follows_from_the_seed():
    one, other, again = tables(5), tables(5), tables(5)
    race(one, 7), race(other, 8), race(again, 7)
    assert one.asked == again.asked
    assert one.asked[0] != other.asked[0]

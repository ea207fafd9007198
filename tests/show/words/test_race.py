from dataclasses import replace

from slr_probe.rank.race.record import Exit, RaceRecord
from slr_probe.show.words.race import race_lines
from tests.rank.planted import planted


def raced(exits):
    ranking = planted()
    exits = (*exits, *[None] * (len(ranking.ranges) - len(exits)))
    return replace(ranking, method="race", race=RaceRecord(0.05, (), exits, 40, 100).to_dict())


def test_it_says_how_many_left_when_and_why():
    exits = (Exit(1, "validity", 6), Exit(2, "diversity", 10), Exit(2, "validity", 10))
    ranking = raced(exits)
    first, second = race_lines(ranking)
    for part in ("3 of 10", "6 to 10", "validity 2", "diversity 1"):
        assert part in first
    assert "0.05" in second
    assert "40%" in second
    assert first in str(ranking)


def test_nothing_is_said_without_a_race_and_little_where_none_left():
    assert race_lines(planted()) == []
    assert len(race_lines(raced(()))) == 1

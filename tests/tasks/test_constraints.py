import pytest

from slr_probe.errors import TaskError
from slr_probe.tasks.constraints import KNOWN, check_constraint, holds, words

CASES = [
    (("max_words", 3), "one two three", "one two three four"),
    (("max_words", 3), "one - two, three!", "a b c d"),
    (("min_words", 3), "one two three", "one two"),
    (("lines", 2), "one\n\ntwo\n", "one\ntwo\nthree"),
    (("lines", 1), "one", "one\ntwo"),
    (("max_lines", 2), "one\ntwo", "one\ntwo\nthree"),
    (("min_lines", 2), "one\ntwo", "one"),
    (("paragraphs", 2), "one\nstill one\n\ntwo", "one\ntwo"),
    (("paragraphs", 2), "one\n \n\n\ntwo\n\n", "one\n\ntwo\n\nthree"),
    (("contains", "moon"), "The MOON's light", "moonlight"),
    (("contains", "moon"), "two moons", "monsoon"),
    (("contains", "the sea"), "by The  Sea!", "the red sea"),
    (("avoids", "moon"), "moonlight", "Moon"),
    (("starts_with", "The phone rang"), '"the phone rang twice"', "When the phone rang"),
    (("ends_with", "?"), 'Who knows?"\n', "Who? Me."),
]


@pytest.mark.parametrize(("constraint", "good", "bad"), CASES)
def test_boundaries(constraint, good, bad):
    assert holds(constraint, good)
    assert not holds(constraint, bad)


def test_every_constraint_is_tested():
    assert {constraint[0] for constraint, _, _ in CASES} == set(KNOWN)


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        ("max_words", "a pair"),
        (("max_words",), "a pair"),
        (("rhymes", 3), "unknown constraint 'rhymes'"),
        (("max_words", 0), "whole number from 1"),
        (("max_words", "80"), "whole number from 1"),
        (("lines", True), "whole number from 1"),
        (("contains", 3), "takes a text"),
        (("contains", " "), "takes a text"),
        (("avoids", "!"), "letters or digits"),
    ],
)
def test_bad_constraints_are_refused(constraint, message):
    with pytest.raises(TaskError, match=message):
        check_constraint(constraint)


def test_pairs_from_json_are_accepted():
    assert check_constraint(["max_words", 80]) == ("max_words", 80)


def test_words_of_scripts_without_spaces():
    moon = "今晚的月亮很圆。"
    assert holds(("contains", "月亮"), moon)
    assert not holds(("avoids", "月亮"), moon)
    assert not holds(("max_words", 5), moon)
    assert words("我爱 Python 3") == 4
    assert words("ที่นี่") == 2  # letters with their signs

"""The file that lists pairs: read in order, or refused with what is wrong."""

import pytest

from slr_probe.errors import StudyError
from slr_probe.study.many import NamedPair, read_pairs

GOOD = '[[pair]]\nname = "a"\nbase = "B"\ntuned = "T"\n'


def test_pairs_in_order(tmp_path):
    file = tmp_path / "pairs.toml"
    file.write_text(GOOD + GOOD.replace('"a"', '"b-2"'))
    assert read_pairs(file) == (NamedPair("a", "B", "T"), NamedPair("b-2", "B", "T"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "list pairs and nothing else"),
        ("pair = 3", "list pairs and nothing else"),
        (GOOD + "[rank]\nfloor = 1\n", "list pairs and nothing else"),
        ("pair = [3]", "pair 1 of .* holds 3"),
        (GOOD + '[[pair]]\nname = "b"\nbase = "B"\n', "pair 2 of .* holds name, base; expected"),
        (GOOD + 'revision = "x"\n', "revision; expected"),
        (GOOD.replace('"T"', '""'), "tuned of pair 1 of .* expected text"),
        (GOOD.replace('"T"', "4"), "tuned of pair 1 of .* is 4; expected text"),
        (GOOD.replace('"a"', '"a/b"'), "names a folder"),
        (GOOD.replace('"a"', '".."'), "names a folder"),
        (GOOD + GOOD.replace('"a"', '"A"'), "several pairs named a"),
        ("[[pair", "not TOML"),
    ],
)
def test_what_is_refused(tmp_path, text, says):
    file = tmp_path / "pairs.toml"
    file.write_text(text)
    with pytest.raises(StudyError, match=says):
        read_pairs(file)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(StudyError, match="absent"):
        read_pairs(tmp_path / "absent.toml")

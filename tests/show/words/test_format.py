import numpy as np
import pandas as pd
import pytest

from slr_probe.show.words.format import (
    aligned,
    estimate,
    estimates,
    html_table,
    html_text,
    missing,
    number,
    p_clause,
    p_value,
    places,
)
from slr_probe.stats import Interval

NAN = float("nan")
FOUND = Interval(np.array([0.5, NAN, 2.0]), np.array([0.25, NAN, NAN]), np.array([1.0, NAN, NAN]), 0.95)


@pytest.mark.parametrize("value", [None, NAN, float("inf"), np.float32("nan")])
def test_what_is_missing_is_blank_everywhere(value):
    assert missing(value)
    assert number(value) == ""
    assert number(value, blank="undefined") == "undefined"


def test_limits_stand_in_brackets_where_there_are_any():
    assert estimate(FOUND, 0, "+.2f", ".1f", unit=" nats") == "+0.50 nats [0.2, 1.0]"
    assert estimate(FOUND, 2, ".1f", unit="%") == "2.0%"
    assert estimate(FOUND, 1, blank="undefined") == "undefined"
    assert estimates(FOUND, ".1f") == ["0.5 [0.2, 1.0]", "", "2.0"]


def test_small_p_values_are_only_said_to_be_small():
    assert [p_value(p) for p in (0.5, 0.00312, 0.001, 0.00099)] == ["0.5", "0.003", "0.001", "below 0.001"]
    assert [p_clause(p) for p in (0.5, 0.0001)] == ["p = 0.5", "p below 0.001"]


@pytest.mark.parametrize("largest", [0.0, 0.4, 0.999, 1.2, 3.0, 9.4, 12.0, 123.4, 98765.0])
def test_a_quantity_has_about_three_figures(largest):
    shown = format(largest, f".{places(largest)}f")
    assert float(shown) == pytest.approx(largest, rel=5e-3)
    assert places(-largest) == places(largest)


def test_text_begins_at_the_left_and_numbers_end_at_the_right():
    assert aligned([["task", "n"], ["a", "10"], ["longer", ""]]).split("\n") == ["task     n", "a       10", "longer"]
    assert aligned([["n", "task"], ["10", "a"]], left=(1,)).split("\n") == [" n  task", "10  a"]


def test_jupyter_gets_no_markup_of_ours():
    assert "&lt;b&gt;" in html_text("<b>")
    table = html_table(pd.DataFrame({"x": [0.123456, NAN], "y": ["<i>", "b"]}), ".2f")
    assert "0.12" in table
    assert "nan" not in table.lower()
    assert "&lt;i&gt;" in table

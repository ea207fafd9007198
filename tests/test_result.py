import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from slr_probe.result import Result, limits, plain_value, records
from slr_probe.stats import Interval


@dataclass(frozen=True, eq=False, repr=False)
class Plain(Result):
    kind: ClassVar[str] = "tests.plain/1"

    values: np.ndarray
    names: tuple[str, ...] = ()

    def to_dataframe(self) -> pd.DataFrame:
        return pd.DataFrame({"name": list(self.names), "value": self.values})


def test_a_result_without_a_view_of_its_own_shows_its_table():
    result = Plain(np.array([0.5, np.nan]), ("a", "b"))
    assert repr(result).splitlines() == ["Plain: 2 rows", "name  value", "a       0.5", "b"]
    assert "<table" in result._repr_html_()
    with pytest.raises(NotImplementedError, match="Plain has no figure"):
        result.plot()


def test_save_and_load(tmp_path):
    result = Plain(np.array([0.5, np.nan]), ("a", "b"))
    again = Plain.load(result.save(tmp_path / "plain.npz"))
    np.testing.assert_array_equal(again.values, result.values)
    assert again.names == result.names


def test_records_hold_what_json_knows():
    columns = {"number": [0.5, np.nan, np.inf], "text": ["a", None, "c"], "flag": [True, False, True]}
    table = pd.DataFrame({**columns, "count": pd.array([1, None, 3], dtype="Int64")})
    assert records(table) == [
        {"number": 0.5, "count": 1, "text": "a", "flag": True},
        {"number": None, "count": None, "text": None, "flag": False},
        {"number": None, "count": 3, "text": "c", "flag": True},
    ]
    json.dumps(records(table), allow_nan=False)
    assert type(plain_value(np.int64(3))) is int


def test_columns_of_an_interval():
    found = Interval(np.array([1.0, 2.0]), np.array([0.0, 1.0]), np.array([2.0, 3.0]), 0.95)
    assert limits("gain", found, 1) == {"gain": 2.0, "gain_low": 1.0, "gain_high": 3.0}
    assert limits("gain", found)["gain_high"].tolist() == [2.0, 3.0]

"""The numbers, formats and words of one study are those that were kept.

After a change that is meant, `python -m tests.golden.study` keeps the new ones.
"""

import csv

import numpy as np
import pytest

from tests.golden.study import (
    ARRAYS,
    DOCUMENTS,
    GOLDEN,
    TABLES,
    differences,
    read_arrays,
    read_document,
    report_text,
    text_differences,
)


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(done, name):
    (found, meta), (kept, kept_meta) = read_arrays(done / name), read_arrays(GOLDEN / name)
    assert list(found) == list(kept)
    assert not differences(meta, kept_meta)
    for key, value in kept.items():
        assert found[key].dtype == value.dtype, key
        if value.dtype.kind == "f":
            np.testing.assert_allclose(found[key], value, rtol=1e-3, atol=1e-4, err_msg=key)
        else:
            np.testing.assert_array_equal(found[key], value, err_msg=key)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents(done, name):
    assert not differences(read_document(done / name), read_document(GOLDEN / name))


@pytest.mark.parametrize("name", TABLES)
def test_tables(done, name):
    found, kept = (list(csv.reader((root / name).open(encoding="utf-8", newline=""))) for root in (done, GOLDEN))
    assert not differences(found, kept)


def test_outputs_are_the_same_bytes(done):
    kept = {path.relative_to(GOLDEN): path.read_bytes() for path in (GOLDEN / "validate/outputs").rglob("*.jsonl")}
    assert {path.relative_to(done): path.read_bytes() for path in (done / "validate/outputs").rglob("*.jsonl")} == kept


def test_recipe_is_the_same_bytes():
    from slr_probe import Recipe

    assert Recipe.restore("2:5", depth=8).to_json() == (GOLDEN.parent / "recipe.json").read_text(encoding="utf-8")


def test_the_report_says_the_same(done):
    assert not text_differences(report_text(done / "report.html"), (GOLDEN / "report.txt").read_text(), "report")

import numpy as np
import pytest

from slr_probe.show.words.validation import in_text
from slr_probe.study.folder import Findings
from slr_probe.study.report.generated import section


@pytest.fixture(scope="module")
def found(done):
    return Findings(done)


def test_a_difference_is_claimed_only_where_the_interval_leaves_out_zero(found):
    report = found.validation
    table = report.to_dataframe()
    for row in table[(table["model"] != "tuned") & np.isfinite(table["difference_low"])].to_dict(orient="records"):
        claimed = report.compared(row["task"], row["model"], row["metric"])
        if row["difference_low"] <= 0 <= row["difference_high"]:
            assert claimed == "unclear"
        elif row["family"] == "primary" and row["p_adjusted"] > 0.05:
            assert claimed == "unclear"
        else:
            assert claimed in ("better", "worse")


def test_four_prompts_cannot_show_anything(found):
    """The smallest two-sided p of a sign-flip test on four prompts is 1/8."""
    assert "no difference to tuned in diversity or quality is shown" in in_text(found.validation)
    assert "(4 prompts a task)" in in_text(found.validation)


def test_what_only_intervals_show_is_not_confirmed(found, monkeypatch):
    monkeypatch.setattr("slr_probe.validation.result.ValidationReport.state", lambda *asked: "more?")
    assert "no difference to tuned in diversity or quality is confirmed" in in_text(found.validation)


def test_tables_hold_the_two_fixed_measures_of_every_model(found):
    report = found.validation
    for table in section(report)["tables"]:
        assert len(table.columns) == 5
        assert [row.cells[0] for row in table.rows] == list(report.models)
        assert [row.style for row in table.rows].count("chosen") == 1

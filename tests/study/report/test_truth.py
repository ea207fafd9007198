"""What is said of the pair whose collapse was put into known blocks."""

from types import SimpleNamespace

import pytest

from slr_probe.layers import LayerRange
from slr_probe.organism import BAND
from slr_probe.study.report.truth import overlap, truth


def findings(tuned, chosen):
    pair = {"base": {"source": "organism:base"}, "tuned": {"source": tuned}}
    choice = SimpleNamespace(layers=chosen and LayerRange(chosen))
    return SimpleNamespace(run={"pair": pair}, ranking=object(), choice=lambda: choice)


@pytest.mark.parametrize(("one", "other"), [("4:7", "4:7"), ("4:7", "3:9"), ("0:3", "5:8"), ("2:5", "4:6")])
def test_overlap_is_that_of_the_sets_of_blocks(one, other):
    first, second = set(LayerRange(one)), set(LayerRange(other))
    assert overlap(LayerRange(one), LayerRange(other)) == len(first & second) / len(first | second)


def test_the_truth_names_both_ranges():
    said, made = truth(findings("organism:local", "5:9"))
    assert f"{BAND[0]}:{BAND[1]}" in said
    assert "5:9" in said
    assert "0.40" in said
    assert "organism:dpo" in made


def test_a_miss_is_told_too():
    assert "none" in truth(findings("organism:local", None))[0]


def test_nothing_is_known_of_other_pairs():
    assert truth(findings("organism:dpo", "4:7")) == []

"""What the report reads off the table of ranges beside the choice."""

import pytest

from slr_probe import rank_layers
from slr_probe.rank.candidates import FAMILIES
from slr_probe.study.report import free
from slr_probe.study.settings import Settings


@pytest.fixture(scope="module")
def ranking(pair, task):
    return rank_layers(pair, task, soups=0, candidates=FAMILIES, guards=None, held_out=2, resamples=100)


def test_families_stand_in_a_table_with_adjusted_p(ranking):
    table = free.wider_table(ranking)
    assert [row.cells[0] for row in table.rows] == ["attention alone", "MLP alone", "blocks half restored"]
    for row, found in zip(table.rows, ranking.wider, strict=True):
        assert f"{-found.gap.difference.value:+.3f}" in row.cells[2]
        assert float(row.cells[3]) == pytest.approx(found.gap.p, abs=6e-4)
    assert len({len(table.columns), *(len(row.cells) for row in table.rows)}) == 1


def test_order_and_shape_have_their_changes(ranking):
    table = free.split_table(ranking)
    for row, part in zip(table.rows, ranking.split.parts, strict=True):
        assert row.cells[1:3] == (f"{part.tuned:.3f}", f"{part.hybrid:.3f}")
        assert f"{part.change.value:+.3f}" in row.cells[3]


def test_the_section_has_the_figure_and_its_sentence(ranking):
    found = free.section(ranking)
    assert found["free"]
    assert len(found["free_tables"]) == 2
    assert "<svg" in found["interaction"]
    assert "of 4 splits" in found["interaction_words"]


def test_a_study_can_ask_for_families():
    settings = Settings.from_dict({"rank": {"candidates": ["ranges", "mlp"]}})
    assert settings.rank.candidates == ("ranges", "mlp")
    assert Settings().rank.candidates == ("ranges",)

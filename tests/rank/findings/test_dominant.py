"""What beats a range on both axes is named, whatever else is compared."""

from dataclasses import replace

import numpy as np
import pytest

from slr_probe.rank.findings.dominant import dominant
from slr_probe.show.words.plain import advice
from tests.rank.planted import planted
from tests.rank.test_compare import with_a_rival


@pytest.mark.parametrize(
    ("validity", "diversity", "beaten"),
    [(0.79, 0.9, True), (0.79, 0.5, False), (0.7, 0.9, False)],
)
def test_a_baseline_beats_a_range_where_it_is_better_in_both(validity, diversity, beaten):
    ranking = with_a_rival(validity, diversity)
    row, late = ranking.index("1:3"), int(ranking.rows("late")[0])
    ours = [ranking.means(what, held_out=True) for what in ("validity", "diversity")]
    assert all(mean[late] > mean[row] for mean in ours) == beaten  # by hand
    assert [gap.other for gap in dominant(ranking, row)] == [late] * beaten
    recipes = [str(ranking.recipes[late])] * beaten
    assert ranking.to_dict()["choice"]["better_in_both"] == recipes


def test_what_beats_a_range_is_the_first_thing_that_is_said():
    ranking = with_a_rival(0.79, 0.9)
    said = advice(ranking, ranking.choice)
    first, then, rest = said.split(". ", 2)
    assert first == (
        "More diverse and more valid at once than blocks 1 to 2 set back to base: the last blocks of equal width"
    )
    assert "On held-out prompts, the last blocks of equal width: 90% of the possible diversity instead of 60%" in then
    assert then.endswith("and 99% of tuned's validity instead of 97%; consider that instead")
    assert rest.startswith("Of the ranges, set blocks 1 to 2 of 4 back to base")
    assert "at once" not in advice(planted(), planted().choice)


def test_several_soups_are_named_once_and_the_best_soup_is_not_said_to_be_worse():
    """Two soups better on both axes, one of them unmeasured on held-out prompts: each is compared where it can be."""
    ranking = planted()
    one, other = (int(ranking.rows(kind)[0]) for kind in ("early", "late"))
    kinds, recipes = ranking.kinds.astype("<U8"), list(ranking.recipe_data)
    kinds[[one, other]] = "soup"
    for row, share in ((one, 0.4), (other, 0.55)):
        recipes[row] = _soup(share, ranking.depth)
    changed = {
        name: getattr(ranking, name).copy() for name in ("validity", "held_validity", "diversity", "held_diversity")
    }
    for name, values in changed.items():
        values[one], values[other] = (0.79, 0.8) if "validity" in name else (0.9, 0.8)
        if name.startswith("held_"):
            values[other] = np.nan
    ranking = replace(ranking, kinds=kinds, recipe_data=tuple(recipes), **changed)
    found = dominant(ranking, ranking.index("1:3"))
    assert [gap.other for gap in found] == [one, other]
    said = advice(ranking, ranking.choice)
    assert "than blocks 1 to 2 set back to base: uniform soups 0.4 to 0.55. On held-out" in said
    assert "uniform soup 0.4: 90%" in said
    assert "But" not in said


def _soup(share, depth):
    from slr_probe import Recipe

    return Recipe.soup(share, depth).to_dict()

"""The soup is chosen, and the gain looked for, on CRC as the ranking measures it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from slr_probe import Recipe
from slr_probe.study.settings import Settings
from slr_probe.study.stages.validation import VALIDATE
from slr_probe.tasks import CRCItem, CRCTask
from slr_probe.validation.crc import CRC
from tests.rank.paper import rank_layers
from tests.tiny import make_pair

CHOICES = CRCTask.of(
    CRCItem(f"Pick {' '.join(s)}", tuple(s), split="held_out" if i % 2 else "selection")
    for i, s in enumerate(["abc", "cde", "123", "345"])
)
SETTINGS = [{}, {"format": "plain"}, {"temperature": 0.4}, {"format": "plain", "temperature": 2.0, "min_p": 0.3}]


@pytest.fixture(scope="module")
def pair():
    return make_pair()


@pytest.mark.parametrize("settings", SETTINGS)
def test_soups_have_the_scores_of_the_ranking(pair, settings):
    ranking = rank_layers(pair, CHOICES, resamples=100, **settings)
    rows = ranking.rows("soup")
    recipes = [Recipe.from_dict(ranking.recipe_data[i]) for i in rows]
    choice = CRC(pair, CHOICES, memory="1GB", **settings)
    validity, diversity = choice.scorer("selection")(recipes)
    np.testing.assert_allclose(validity, ranking.validity[rows], rtol=1e-5)
    np.testing.assert_allclose(diversity, ranking.diversity[rows], rtol=1e-5)
    best = ranking.best_soup
    held = choice.held_out({"soup": recipes[list(rows).index(best)]})
    np.testing.assert_allclose(held.diversity[0], ranking.held_diversity[best], rtol=1e-5)
    if ranking.validity[rows].mean(axis=1).max() >= 0.9 * ranking.validity[ranking.rows("tuned")[0]].mean():
        assert choice.best_soup(0.9) == recipes[list(rows).index(best)]


def test_settings_change_the_scores(pair):
    scores = [CRC(pair, CHOICES, memory="1GB", **settings).held_out({"t": Recipe.tuned(4)}) for settings in SETTINGS]
    assert len({found.diversity.tobytes() for found in scores}) == len(SETTINGS)


def test_a_study_passes_its_settings_on(pair, tmp_path, monkeypatch):
    asked = {}
    report = SimpleNamespace(models=(), tasks=(), prompt_ids=(), samples=())
    monkeypatch.setattr("slr_probe.validation.validate", lambda *_, **options: asked.update(options) or report)
    settings = Settings().override({"common": {"format": "plain"}, "rank": {"temperature": 0.5, "min_p": 0.1}})
    found = SimpleNamespace(choice=lambda: SimpleNamespace(layers="1:2"))
    context = SimpleNamespace(settings=settings, pair=pair, executor=None, progress=False, found=found)
    monkeypatch.setattr("slr_probe.study.stages.validation.choose", lambda *_: CHOICES)
    VALIDATE.run(context, tmp_path)
    assert (asked["format"], asked["crc_temperature"], asked["crc_min_p"]) == ("plain", 0.5, 0.1)
    context.settings = replace(settings, common=Settings().common, rank=Settings().rank)
    VALIDATE.run(context, tmp_path)
    assert (asked["format"], asked["crc_temperature"], asked["crc_min_p"]) == (None, 1.0, 0.0)

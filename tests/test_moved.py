"""Old module paths stay for one release: each still gives the same objects, says so, and costs nothing before."""

import importlib
import subprocess
import sys

import numpy as np
import pytest

from slr_probe import ModelPair, rank_layers
from slr_probe.moved import MOVED
from slr_probe.tasks import CRCTask
from tests.tasks import exact


@pytest.mark.parametrize("old", sorted(MOVED))
def test_every_home_of_an_old_path_exists(old):
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match="the old path goes with the next release"):
        module = importlib.import_module(old)
    for home in MOVED[old]:
        name, renamed, path = home.partition("=")
        if renamed:
            place, _, new = path.rpartition(".")
            assert getattr(module, name) is getattr(importlib.import_module("slr_probe." + place), new)
        else:
            importlib.import_module("slr_probe." + home)


def test_names_are_the_same_objects_and_unknown_ones_say_where_to_look():
    from slr_probe.prompts import PromptRenderer as old_renderer
    from slr_probe.validation.scoring import Questions

    from slr_probe.pair.prompts.render import PromptRenderer
    from slr_probe.scoring.inputs import ScoringInputs

    assert old_renderer is PromptRenderer
    assert Questions is ScoringInputs
    with pytest.raises(ImportError, match="nothing"):
        from slr_probe.prompts import nothing  # noqa: F401
    with pytest.raises(AttributeError, match=r"slr_probe\.pair\.prompts\.render"):
        _ = importlib.import_module("slr_probe.prompts").nothing


def test_no_old_path_hides_a_module_that_exists():
    from importlib.machinery import PathFinder

    for old in MOVED:
        parent, _, _ = old.rpartition(".")
        if parent not in MOVED:
            assert PathFinder.find_spec(old, importlib.import_module(parent).__path__) is None, old


def test_the_front_page_stays_light_and_loads_no_home():
    code = "import sys, slr_probe.prompts; print('torch' in sys.modules, 'slr_probe.pair' in sys.modules)"
    found = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]


def test_the_old_distribution_is_that_of_plain_forwards(pair_of):
    folders = pair_of("llama")
    pair = ModelPair.load(folders.base, folders.tuned, device="cpu")
    task = CRCTask.of([("Pick a or b.", ["a", "b"]), ("Pick one of c, d, e.", ["c", "d", "e"])]).render(pair)
    old = importlib.import_module("slr_probe.tasks.distribution")
    found, right = old.answer_distribution(pair.base, task), exact.answer_distribution(pair.base, task)
    np.testing.assert_allclose(found.validity, right.validity, rtol=1e-6)
    np.testing.assert_allclose(found.diversity, right.diversity, rtol=1e-6)


@pytest.mark.parametrize(("old", "number"), [(False, 0), (True, 21)])
def test_soups_may_still_be_yes_or_no(old, number, pair_of):
    folders = pair_of("llama")
    pair = ModelPair.load(folders.base, folders.tuned, device="cpu")
    task = [("Pick a or b.", ["a", "b"]), ("Pick one of c, d, e.", ["c", "d", "e"])]
    options = {"method": "delta", "guards": None, "resamples": 20, "progress": False}
    ranking = rank_layers(pair, task, soups=old, **options)
    assert ranking.recipes == rank_layers(pair, task, soups=number, **options).recipes

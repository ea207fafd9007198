"""A row called base is the base model, also where base's weights under the tuned config would be another one."""

from __future__ import annotations

import json

import pytest

from slr_probe import CRCTask, ModelPair, Recipe
from slr_probe.rank.measure import Scorer
from tests.tasks.exact import answer_distribution

TASK = CRCTask.of([("pick a or b", ["a", "b"]), ("choose c or d", ["c", "d"]), ("say e, f or g", ["e", "f", "g"])])
OTHER = {"rope_parameters": {"rope_type": "default", "rope_theta": 50.0}}


def change(folder, **fields):
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


@pytest.mark.parametrize(("stream", "loaded"), [(False, True), (False, False), (True, False)])
def test_base_is_measured_under_its_own_config(own_pair, stream, loaded):
    one = own_pair()
    change(one.tuned, **OTHER)
    pair = ModelPair.load(*one.folders, device="cpu")
    assert any("rope" in field for field in pair.base_fields)
    task = TASK.render(pair)
    right = answer_distribution(ModelPair.load(*one.folders, device="cpu").base, task).validity
    if loaded:
        assert pair.base is not pair.tuned
    base, tuned = Recipe.base(pair.depth, blocks_only=False), Recipe.tuned(pair.depth)
    scorer = Scorer(pair, task, frozenset(range(pair.depth)), {"stream": stream, "progress": False})
    found = scorer([tuned, base, Recipe.restore("0:1", pair.depth)])[0]
    assert found[1] == pytest.approx(right, abs=1e-6)
    assert found[0] == pytest.approx(answer_distribution(pair.tuned, task).validity, abs=1e-6)
    mixed = answer_distribution(pair.base_alone().tuned, task).validity
    assert mixed == pytest.approx(right, abs=1e-6)


def test_the_weights_of_base_under_the_tuned_config_are_another_model(own_pair):
    """The test above could not fail otherwise."""
    one = own_pair()
    pair = ModelPair.load(*one.folders, device="cpu")
    task = TASK.render(pair)
    right = answer_distribution(pair.base, task).validity
    change(one.base, **OTHER)
    other = answer_distribution(ModelPair.load(*one.folders, device="cpu").base, task).validity
    assert abs(right - other).max() > 1e-4


def test_token_ids_do_not_make_it_another_model(own_pair):
    one = own_pair()
    change(one.tuned, eos_token_id=[2, 5], use_cache=False)
    assert ModelPair.load(*one.folders, device="cpu").base_fields == ()

"""A row called base is the base model, also where base's weights under the tuned config would be another one."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from slr_probe import CRCTask, ModelPair, Recipe, rank_layers, restore, restored
from slr_probe.errors import RankingError, RecipeError
from slr_probe.generation.decode import end_tokens
from slr_probe.rank.measure import Scorer
from slr_probe.show import ranking as shown
from slr_probe.sweep import sweep
from tests.tasks.exact import answer_distribution
from tests.tiny import load

TASK = CRCTask.of([("pick a or b", ["a", "b"]), ("choose c or d", ["c", "d"]), ("say e, f or g", ["e", "f", "g"])])
OTHER = {"rope_parameters": {"rope_type": "default", "rope_theta": 50.0}}
LONGER = {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 8.0}}


def change(folder, **fields):
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


@pytest.mark.parametrize("rope", [OTHER, LONGER])
@pytest.mark.parametrize(("stream", "loaded"), [(False, True), (False, False), (True, False)])
def test_base_is_measured_under_its_own_config(own_pair, stream, loaded, rope):
    one = own_pair()
    change(one.tuned, **rope)
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


@pytest.mark.parametrize("stream", [False, True])
def test_base_with_a_head_of_its_own_beside_a_tied_tuned(own_pair, stream, tmp_path):
    """The head is stored by base alone: transformers loads it, and a hybrid of tuned's files has no place for it."""
    one = own_pair("llama_tied")
    file = one.base / "model.safetensors"
    tensors = load_file(file)
    own = torch.randn(tensors["model.embed_tokens.weight"].shape, generator=torch.Generator().manual_seed(3))
    base = Recipe.base(4, blocks_only=False)
    for head in (tensors["model.embed_tokens.weight"].clone(), own):
        save_file({**tensors, "lm_head.weight": head}, file, {"format": "pt"})
        pair = ModelPair.load(*one.folders, device="cpu")
        task = TASK.render(pair)
        right = answer_distribution(load(one.base), task).validity
        found = Scorer(pair, task, frozenset(range(4)), {"stream": stream, "progress": False})([base])[0]
        assert found[0] == pytest.approx(right, abs=1e-6)
    assert pair.base_fields == ("lm_head.weight",)
    for call in (lambda: restore(*one.folders, base, tmp_path / "out"), lambda: restored(pair, base).__enter__()):
        with pytest.raises(RecipeError, match="no place for it"):
            call()
    assert restore(*one.folders, "1:3", tmp_path / "out").is_dir()


def test_token_ids_do_not_make_it_another_model(own_pair):
    one = own_pair()
    change(one.tuned, eos_token_id=[2, 5], use_cache=False)
    assert ModelPair.load(*one.folders, device="cpu").base_fields == ()


class _Asked:
    def __init__(self, asked):
        self.asked = asked

    def queries(self, pair):
        return self.asked


def test_given_and_ended_is_what_a_sweep_of_such_questions_says(pair, task):
    ranking = rank_layers(pair, task, soups=0, guards=None, held_out=2, resamples=50, ended=True)
    rows = np.flatnonzero(np.isfinite(ranking.ended_validity).all(axis=1))
    assert set(ranking.order[:2]) | {ranking.tuned} <= set(rows.tolist())
    asked = task.held_out.render(pair, ends=end_tokens(pair))
    expected = sweep(pair, [ranking.recipes[row] for row in rows], asked, progress=False)
    np.testing.assert_allclose(ranking.ended_validity[rows], expected.ended_validity, atol=1e-6)
    assert (ranking.ended_validity[rows] <= ranking.held_validity[rows] + 1e-6).all()
    column = ranking.to_dataframe()["ended_validity"]
    assert column.notna().sum() == len(rows)
    with pytest.raises(RankingError, match="ended=True"):
        rank_layers(pair, _Asked(task.selection.queries(pair)), ended=True)
    header, cells = shown.lines(ranking, 2)
    best = f"{ranking.ended_validity[ranking.order[0]].mean():.3f}"
    assert cells[0][header.index("given and ended")] == best
    assert f"{ranking.best} {best}" in repr(ranking)


def test_sweeps_that_know_their_share_of_the_matrix_rate_are_weighed_by_their_time(own_pair, monkeypatch):
    pair = ModelPair.load(*own_pair().folders, device="cpu")
    shares = iter([0.5, 0.9])
    monkeypatch.setattr("slr_probe.sweep.run.matmul_share", lambda *_: next(shares))
    scorer = Scorer(pair, TASK.render(pair), frozenset(range(pair.depth)))
    times = []
    for layers in ("0:1", "1:2"):
        found = scorer.sweep([pair.recipe(layers)])
        times.append(found.settings["seconds"])
    assert scorer.timed == pytest.approx((sum(times), 0.5 * times[0] + 0.9 * times[1]))

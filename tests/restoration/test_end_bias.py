"""An end bias on disk, as transformers and vLLM read it, and as verify checks it."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM

from slr_probe import restore, verify_hybrid
from slr_probe.errors import CheckpointError, RecipeError
from slr_probe.restoration.end_bias import GENERATION, read_end_bias

BIAS = {2: 1.5, 5: 1.5}


@pytest.fixture
def pair(pair_of):
    pair = pair_of("llama")
    for folder in pair.folders:
        if not (folder / GENERATION).exists():
            (folder / GENERATION).write_text("{}")
    return pair


def test_transformers_adds_it_to_the_logits_of_end_tokens(pair, tmp_path):
    folder = restore(*pair.folders, "1:3", tmp_path / "hybrid", end_bias=BIAS)
    ids = torch.tensor([[1, 7, 3]])

    def scores(path):
        model = AutoModelForCausalLM.from_pretrained(path).eval()
        found = model.generate(
            ids, max_new_tokens=1, do_sample=False, output_scores=True, return_dict_in_generate=True, pad_token_id=0
        )
        return found.scores[0][0]

    plain = restore(*pair.folders, "1:3", tmp_path / "plain")
    difference = scores(folder) - scores(plain)
    assert difference.nonzero().flatten().tolist() == [2, 5]
    torch.testing.assert_close(difference[[2, 5]], torch.tensor([1.5, 1.5]))


def test_it_is_recorded_and_verified_and_never_silent(pair, tmp_path):
    folder = restore(*pair.folders, "1:3", tmp_path / "hybrid", end_bias=BIAS)
    assert json.loads((folder / "recipe.json").read_text())["end_bias"] == [[2, 1.5], [5, 1.5]]
    assert read_end_bias(folder) == BIAS
    assert verify_hybrid(folder).ok
    plain = restore(*pair.folders, "1:3", tmp_path / "plain")
    assert "end_bias" not in json.loads((plain / "recipe.json").read_text())
    assert (plain / GENERATION).read_bytes() == (pair.folders[1] / GENERATION).read_bytes()
    settings = json.loads((folder / GENERATION).read_text())
    settings["sequence_bias"][0][1] = 9.0
    (folder / GENERATION).write_text(json.dumps(settings))
    assert verify_hybrid(folder).problems == (f"{GENERATION} is not tuned's",)


def test_a_bias_that_is_there_is_kept(pair, tmp_path):
    file = pair.folders[1] / GENERATION
    before = file.read_text()
    try:
        file.write_text(json.dumps({"sequence_bias": [[[4], -1.0], [[2], 0.5]]}))
        folder = restore(*pair.folders, "1:3", tmp_path / "hybrid", end_bias={2: 1.0})
        assert read_end_bias(folder) == {4: -1.0, 2: 1.5}
    finally:
        file.write_text(before)


@pytest.mark.parametrize("bad", [{2: float("nan")}, {-1: 1.0}, {"2": 1.0}, 1.5, {2: True}])
def test_numbers_that_are_none_are_refused_before_anything_is_written(pair, tmp_path, bad):
    with pytest.raises(RecipeError, match="end_bias"):
        restore(*pair.folders, "1:3", tmp_path / "hybrid", end_bias=bad)
    assert not (tmp_path / "hybrid").exists()


def test_without_generation_settings_there_is_no_place_for_it(pair, tmp_path):
    file = pair.folders[1] / GENERATION
    before = file.read_text()
    try:
        file.unlink()
        with pytest.raises(CheckpointError, match=GENERATION):
            restore(*pair.folders, "1:3", tmp_path / "hybrid", end_bias=BIAS)
    finally:
        file.write_text(before)

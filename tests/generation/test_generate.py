"""Files and resuming, end tokens, stop strings, names of models, and bad input."""

from __future__ import annotations

import json

import pytest

from slr_probe import ModelPair, Recipe
from slr_probe.errors import GenerationError, PromptError, RecipeError
from slr_probe.generation import Outputs, Sampling, generate, read_outputs
from slr_probe.generation.decode import end_tokens
from tests.generation.conftest import PROMPTS, SHORT
from tests.tiny import edit_json


def test_outputs(whole):
    found = whole["2:4"]
    assert (found.model, found.ids, found.samples, len(found)) == ("2:4", ("a", "b", "c"), 3, 3)
    assert found.sampling == SHORT
    table = found.to_dataframe()
    assert table.shape == (9, 6)
    assert table.text[4] == found.texts[1][1]
    assert found.select(["c"], samples=1).texts == ((found.texts[2][0],),)
    assert found.map(str.upper).texts[0][0] == found.texts[0][0].upper()
    with pytest.raises(GenerationError, match="no outputs for prompt 'z'"):
        found.select(["z"])


def test_equal_models_write_equal_texts(pair, whole):
    same = {"tuned": "tuned", "nothing restored": Recipe.tuned(pair.depth)}
    found = generate(pair, PROMPTS, same, samples=3, sampling=SHORT)
    assert found["tuned"].texts == found["nothing restored"].texts == whole["tuned"].texts


def test_files_are_the_outputs(pair, whole, tmp_path):
    found = generate(pair, PROMPTS, ["tuned", "2:4"], samples=3, sampling=SHORT, out=tmp_path)
    assert {name: outputs.texts for name, outputs in found.items()} == {n: o.texts for n, o in whole.items()}
    read = read_outputs(tmp_path)
    for name, outputs in read.items():
        assert outputs.select(found[name].ids) == found[name]
    settings = json.loads((tmp_path / "settings.json").read_text())
    assert settings["models"]["tuned"]["sampling"]["max_tokens"] == 10
    assert settings["versions"].keys() == {"slr-probe", "torch", "transformers"}
    assert whole["tuned"].save(tmp_path / "again" / "one.jsonl").read_text().count("\n") == 9
    assert read_outputs(tmp_path / "again" / "one.jsonl")["tuned"].texts == whole["tuned"].texts


def test_greedy_samples_are_equal(pair):
    found = generate(pair, PROMPTS, ["tuned"], samples=4, sampling=Sampling(temperature=0, max_tokens=8))["tuned"]
    assert all(len(set(texts)) == 1 for texts in found.texts)


def test_end_tokens_end_an_output(pair, whole):
    tokenizer = pair.tokenizer
    assert {tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|end|>")} <= set(end_tokens(pair))
    assert any(any(ends) for ends in whole["tuned"].finished)
    assert not any("<|end|>" in text for texts in whole["tuned"].texts for text in texts)


def test_end_of_turn_is_found_in_the_template(pair_of):
    """The tiny checkpoints declare no end token at all; the template puts <end> after a turn."""
    pair = ModelPair.load(*pair_of("llama").folders, device="cpu")
    ends = end_tokens(pair)
    assert {pair.tokenizer.convert_tokens_to_ids(token) for token in ("<end>", "<eos>")} <= set(ends)
    assert pair.tokenizer.convert_tokens_to_ids("<turn>") not in ends


def test_stop_strings(pair):
    long = Sampling(max_tokens=24, seed=1)
    free = generate(pair, PROMPTS, ["base"], samples=6, sampling=long)["base"]
    stopped = generate(pair, PROMPTS, ["base"], samples=6, sampling=Sampling(max_tokens=24, seed=1, stop="e"))["base"]
    some = False
    for texts, cuts, ends in zip(free.texts, stopped.texts, stopped.finished, strict=True):
        for text, cut, ended in zip(texts, cuts, ends, strict=True):
            assert cut == text.partition("e")[0]
            some |= "e" in text
            assert ended or "e" not in text
    assert some


@pytest.mark.parametrize(
    ("prompts", "models", "options", "error", "why"),
    [
        ([], ["tuned"], {}, GenerationError, "no prompts"),
        ([("a", "x"), ("a", "y")], ["tuned"], {}, GenerationError, "share the id 'a'"),
        (["ab"], ["tuned"], {"samples": 0}, GenerationError, "samples must be at least 1"),
        (["abc"], ["tuned"], {}, GenerationError, "pairs of an id"),
        ([("a", 1)], ["tuned"], {}, GenerationError, "pair of two texts"),
        ([("a", "")], ["tuned"], {}, PromptError, "empty"),
        (PROMPTS, [], {}, GenerationError, "no models"),
        (PROMPTS, ["tuned", "tuned"], {}, GenerationError, "two models are named 'tuned'"),
        (PROMPTS, {"x": 3.5}, {}, RecipeError, "expected a Recipe"),
        (PROMPTS, ["tuned"], {"backend": "tpu"}, GenerationError, "unknown backend"),
        (PROMPTS, ["tuned"], {"batch_tokens": 0}, GenerationError, "batch_tokens"),
        (PROMPTS, ["tuned"], {"sampling": Sampling(max_tokens=9999)}, GenerationError, "does not fit"),
    ],
)
def test_bad_input(pair, prompts, models, options, error, why):
    with pytest.raises(error, match=why):
        generate(pair, prompts, models, **{"samples": 1, "sampling": SHORT, **options})


def test_outputs_check_themselves():
    good = Outputs("m", ("a",), ("p",), (("x", "y"),), ((True, False),))
    assert good.samples == 2
    for bad in (
        {"ids": ("a", "b")},
        {"finished": ((True,),)},
        {"ids": ("a", "a"), "prompts": ("p", "p"), "texts": ((), ()), "finished": ((), ())},
    ):
        with pytest.raises(GenerationError, match="'m'"):
            Outputs(**{**good.__dict__, **bad})


def test_generation_does_not_go_on_with_another_config(own_pair, tmp_path):
    folders = own_pair()

    def go(samples: int) -> None:
        pair, out = ModelPair.load(*folders.folders), tmp_path / "out"
        generate(pair, [("1", "Pick.")], ["tuned"], samples=samples, sampling=Sampling(max_tokens=2), out=out)

    go(1)
    for folder in folders.folders:
        edit_json(folder / "config.json", rms_norm_eps=0.5)
    with pytest.raises(GenerationError, match="tuned"):
        go(2)

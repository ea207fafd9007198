"""Files and resuming, end tokens, stop strings, names of models, bad input, and vLLM's adapter."""

from __future__ import annotations

import json
import sys

import pytest

from slr_probe import ModelPair, Recipe
from slr_probe.errors import GenerationError, OutputError, PromptError, RecipeError, ResultError
from slr_probe.generation import Outputs, Sampling, generate, read_outputs
from slr_probe.generation import run as module
from slr_probe.generation.decode import end_tokens
from slr_probe.generation.journal import file_stem
from tests.generation.vllm_fake import install_fake_vllm
from tests.tiny import edit_json

PROMPTS = [("a", "Pick a letter."), ("b", "Name a colour."), ("c", "Tell me a joke about a cat.")]
SHORT = Sampling(max_tokens=10, seed=1)


@pytest.fixture(scope="module")
def pair():
    return ModelPair.load("organism:base", "organism:dpo", device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def whole(pair):
    return generate(pair, PROMPTS, ["tuned", "2:4"], samples=3, sampling=SHORT)


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


class Killed(BaseException):
    pass


def killed_after(monkeypatch, parts):
    """Let `generate` die when it has appended so many times."""
    append, count = module.Journal.append, iter(range(parts))

    def dying(self, rows):
        if next(count, None) is None:
            raise Killed
        append(self, rows)

    monkeypatch.setattr(module.Journal, "append", dying)


@pytest.mark.parametrize("tail", [b"", b'{"model": "tuned", "id": "a", "te', '{"text": "é'.encode()[:-1]])
def test_resume_after_a_kill(pair, whole, tmp_path, monkeypatch, tail):
    with monkeypatch.context() as patch:
        killed_after(patch, 2)
        with pytest.raises(Killed):
            generate(pair, PROMPTS, ["tuned"], samples=3, sampling=SHORT, out=tmp_path, batch_tokens=80)
    file = tmp_path / "tuned.jsonl"
    kept = file.read_bytes()
    assert 0 < kept.count(b"\n") < 9
    file.write_bytes(kept + tail)
    written = []
    append = module.Journal.append
    monkeypatch.setattr(module.Journal, "append", lambda self, rows: (written.extend(rows), append(self, rows))[1])
    found = generate(pair, PROMPTS, ["tuned"], samples=3, sampling=SHORT, out=tmp_path, batch_tokens=80)
    assert found["tuned"].texts == whole["tuned"].texts
    assert len(written) == 9 - kept.count(b"\n")
    assert file.read_bytes().startswith(kept)


def test_a_finished_folder_needs_no_model(pair, whole, tmp_path, monkeypatch):
    generate(pair, PROMPTS, ["2:4"], samples=2, sampling=SHORT, out=tmp_path)
    monkeypatch.setattr("slr_probe.generation.sources.Source.model", None)
    again = generate(pair, PROMPTS[:2], ["2:4"], samples=1, sampling=SHORT, out=tmp_path)["2:4"]
    assert again.texts == tuple(texts[:1] for texts in whole["2:4"].texts[:2])


def test_more_prompts_and_samples_are_added(pair, whole, tmp_path):
    generate(pair, PROMPTS[:1], ["tuned"], samples=1, sampling=SHORT, out=tmp_path)
    assert generate(pair, PROMPTS, ["tuned"], samples=3, sampling=SHORT, out=tmp_path)["tuned"] == whole["tuned"]


def test_a_prompt_that_is_rendered_otherwise_is_an_error(pair, tmp_path, monkeypatch):
    asked = {"samples": 1, "sampling": SHORT, "out": tmp_path}
    generate(pair, PROMPTS[:2], ["tuned", "tuned (plain)"], **asked)
    real = module._render
    monkeypatch.setattr(module, "_render", lambda *given: {name: (*ids, 9) for name, ids in real(*given).items()})
    generate(pair, PROMPTS[2:], ["tuned"], **asked)
    with pytest.raises(GenerationError, match=r"tuned.jsonl has outputs for other token ids of prompt 'b'"):
        generate(pair, PROMPTS[1:2], ["tuned"], **asked)
    monkeypatch.undo()
    assert generate(pair, PROMPTS[:2], ["tuned"], **asked)["tuned"].samples == 1
    rows = [json.loads(line) for line in (tmp_path / "tuned.jsonl").read_text().splitlines()]
    for row in rows:
        del row["rendered"]
    (tmp_path / "tuned.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert generate(pair, PROMPTS, ["tuned"], **asked)["tuned"].samples == 1


def test_other_settings_are_an_error(pair, tmp_path):
    generate(pair, PROMPTS[:1], ["tuned"], samples=1, sampling=SHORT, out=tmp_path)
    before = (tmp_path / "tuned.jsonl").read_bytes()
    with pytest.raises(GenerationError, match=r"sampling\.seed was 1 and is now 2"):
        generate(pair, PROMPTS, ["tuned"], samples=1, sampling=Sampling(max_tokens=10, seed=2), out=tmp_path)
    with pytest.raises(GenerationError, match="format was 'chat' and is now 'plain'"):
        generate(pair, PROMPTS, {"tuned": "tuned (plain)"}, samples=1, sampling=SHORT, out=tmp_path)
    with pytest.raises(GenerationError, match="model"):
        generate(pair, PROMPTS, {"tuned": "2:4"}, samples=1, sampling=SHORT, out=tmp_path)
    with pytest.raises(GenerationError, match="another prompt 'a'"):
        generate(pair, [("a", "Pick a digit.")], ["tuned"], samples=1, sampling=SHORT, out=tmp_path)
    other = ModelPair.load("organism:base", "organism:sft", device="cpu", dtype="float32")
    with pytest.raises(GenerationError, match="tuned was"):
        generate(other, PROMPTS, ["tuned"], samples=1, sampling=SHORT, out=tmp_path)
    assert (tmp_path / "tuned.jsonl").read_bytes() == before
    (tmp_path / "settings.json").unlink()
    with pytest.raises(GenerationError, match="does not say how it was made"):
        generate(pair, PROMPTS, ["tuned"], samples=1, sampling=SHORT, out=tmp_path)


def test_a_damaged_line_is_named(pair, tmp_path):
    generate(pair, PROMPTS[:1], ["tuned"], samples=2, sampling=SHORT, out=tmp_path)
    file = tmp_path / "tuned.jsonl"
    file.write_bytes(b"{broken\n" + file.read_bytes())
    with pytest.raises(ResultError, match=r"tuned.jsonl, line 1: not JSON"):
        generate(pair, PROMPTS[:1], ["tuned"], samples=2, sampling=SHORT, out=tmp_path)


def test_a_folder_that_cannot_be_written(pair, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        generate(pair, PROMPTS[:1], ["tuned"], samples=1, sampling=SHORT, out=tmp_path / "file")


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


def test_file_names():
    assert file_stem("tuned") == "tuned"
    stems = [
        file_stem(name) for name in ("base (plain)", "base_plain", "base [plain]", "Base_plain", "../x", "8:14", "")
    ]
    assert len({stem.lower() for stem in stems}) == len(stems)
    assert not any("/" in stem or stem.startswith(".") for stem in stems)


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


# -- vLLM: a module that records what it is asked ------------------------------------------------------------------


@pytest.fixture
def fake_vllm(monkeypatch):
    return install_fake_vllm(monkeypatch)


def test_vllm_is_asked_for_exactly_the_settings(pair, fake_vllm, tmp_path):
    sampling = Sampling(temperature=0.7, top_p=0.9, top_k=50, min_p=0.02, max_tokens=11, seed=3, stop="\n\n")
    folder = str(pair.tuned_side.path)
    models = {"tuned": "tuned", "hybrid": folder}
    found = generate(pair, PROMPTS, models, samples=2, sampling=sampling, backend="vllm", out=tmp_path)
    assert [engine["model"] for engine in fake_vllm.engines] == [folder, folder]
    assert all(engine["generation_config"] == "vllm" for engine in fake_vllm.engines)
    assert fake_vllm.prompts[0] == {"prompt_token_ids": pair.render(PROMPTS[0][1])}
    asked = fake_vllm.options[0]
    expected = {
        "n": 1,
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 50,
        "min_p": 0.02,
        "max_tokens": 11,
        "stop": ["\n\n"],
    }
    assert asked | expected == asked
    assert set(asked["stop_token_ids"]) == set(end_tokens(pair))
    assert len({options["seed"] for options in fake_vllm.options[:6]}) == 6
    assert found["hybrid"].texts[0][0] == pair.tokenizer.decode([70, 71])
    assert found["tuned"].finished == ((True, True),) * 3


def test_vllm_needs_folders(pair, fake_vllm, monkeypatch):
    with pytest.raises(GenerationError, match="needs it on disk"):
        generate(pair, PROMPTS, ["tuned", "2:4"], samples=1, backend="vllm")
    assert not fake_vllm.engines
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(GenerationError, match="pip install"):
        generate(pair, PROMPTS, ["tuned"], samples=1, backend="vllm")


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

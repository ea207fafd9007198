"""Nothing in a checkpoint makes loading reach the network, and nothing in it changes what a forward returns."""

from __future__ import annotations

import json
import socket
import types

import pytest
import torch
from huggingface_hub import constants, get_session
from transformers import AutoModelForCausalLM, modeling_flash_attention_utils, modeling_utils
from transformers.integrations import hub_kernels

from slr_probe import ModelPair
from slr_probe.judges.embedder import Embedder
from slr_probe.pair.offline import offline
from tests.judges.encoders import write_encoder
from tests.tiny import edit_json, load, logits

NAMED = ("kernels-community/flash-attn2", "nobody/kernel@main:function", "flash_attention_2", "paged|nobody/kernel")
FIELDS = [
    *({name: value} for name in ("attn_implementation", "_attn_implementation") for value in NAMED),
    {"attn_implementation": {"": "nobody/kernel"}},
    {"attn_implementation": 3},
    {"experts_implementation": "sonicmoe"},
    {"_experts_implementation": "nobody/kernel"},
    {"return_dict": False},
    {"output_attentions": True, "output_hidden_states": True},
    {"auto_map": {"AutoConfig": "nobody/code--a.B", "AutoModelForCausalLM": "nobody/code--a.C"}},
]


@pytest.fixture
def asked(monkeypatch):
    """Hosts that were asked for, where the package `kernels` is installed and nothing forbids the network."""
    hosts = []

    def refuse(host, *_, **__):
        hosts.append(host)
        raise OSError("no network in tests")

    def get_kernel(name, **_):
        get_session().get(f"https://huggingface.co/{name}")
        return types.ModuleType(name)

    for module in (hub_kernels, modeling_utils, modeling_flash_attention_utils):
        for name, value in (("is_kernels_available", lambda *_: True), ("get_kernel", get_kernel)):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return hosts


@pytest.mark.parametrize("fields", FIELDS, ids=str)
def test_a_config_names_no_code_to_fetch(own_pair, asked, fields):
    pair = own_pair()
    expected = logits(load(pair.tuned))
    edit_json(pair.tuned / "config.json", **fields)
    opened = ModelPair.load(pair.base, pair.tuned, device="cpu")
    torch.testing.assert_close(logits(opened.tuned), expected)
    assert asked == []
    assert not constants.HF_HUB_OFFLINE


def test_a_config_inside_a_config_names_none_either(own_pair, asked):
    pair = own_pair("gemma3")
    inner = json.loads((pair.tuned / "config.json").read_text())["text_config"]
    edit_json(pair.tuned / "config.json", text_config={**inner, "_attn_implementation": "nobody/kernel"})
    logits(ModelPair.load(pair.base, pair.tuned, device="cpu").tuned)
    assert asked == []


def test_transformers_alone_would_ask_for_it(own_pair, asked):
    folder = own_pair().tuned
    edit_json(folder / "config.json", attn_implementation="nobody/kernel")
    with pytest.raises(Exception, match="nobody/kernel"):
        AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    assert asked


def test_a_scoring_model_names_none(tmp_path, asked):
    folder = write_encoder(tmp_path, "mean")
    expected = Embedder(folder)(["a cat"])
    edit_json(folder / "config.json", attn_implementation="nobody/kernel", return_dict=False)
    assert (Embedder(folder)(["a cat"]) == expected).all()
    assert asked == []


def test_kernels_that_loading_itself_wants_are_not_fetched(asked):
    with offline(), pytest.raises(Exception, match="offline"):
        hub_kernels.get_kernel("nobody/kernel")
    assert asked == []


def test_nothing_stays_changed_after_an_error():
    before = constants.HF_HUB_OFFLINE
    with pytest.raises(ZeroDivisionError), offline():
        raise ZeroDivisionError
    assert constants.HF_HUB_OFFLINE is before

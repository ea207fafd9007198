"""A bridge of TransformerLens and a model of nnsight are sides like the transformers model inside them."""

import pytest
import torch

from slr_probe import ModelPair, restored
from slr_probe.errors import IncompatiblePairError
from tests.tiny import make_model
from tests.tiny_tokenizer import make_tokenizer

IDS = torch.arange(1, 9)[None]


def bridge_of(family, seed, folder):
    """A bridge, booted from a folder as users do."""
    lens = pytest.importorskip("transformer_lens.model_bridge")
    heads = {"num_key_value_heads": 4} if family == "gpt_neox" else {}  # a field that NeoX ignores, the bridge does not
    model = make_model(family, seed, **heads)
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return model, lens.TransformerBridge.boot_transformers(str(folder), device="cpu", dtype=torch.float32)


@pytest.mark.parametrize("family", ["llama", "llama_tied", "gpt2", "gpt_neox", "gemma2", "qwen3_moe"])
@torch.no_grad()
def test_a_bridge_is_the_model_it_was_booted_from(family, tmp_path):
    plain, bridge = bridge_of(family, 2, tmp_path)
    before = bridge(IDS)
    base = make_model(family, 1)
    pair, other = (ModelPair.load(base, side, tokenizer=make_tokenizer(), device="cpu") for side in (bridge, plain))
    assert type(pair.tuned) is type(plain)
    expected = plain.state_dict()
    assert pair.tuned.state_dict().keys() == expected.keys()
    for name, tensor in pair.tuned.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0)
    torch.testing.assert_close(pair.tuned(IDS).logits, plain(IDS).logits, rtol=0, atol=1e-6)
    with restored(pair, "1:3") as hybrid, restored(other, "1:3") as wanted:
        torch.testing.assert_close(hybrid(IDS).logits, wanted(IDS).logits, rtol=0, atol=1e-6)
    torch.testing.assert_close(bridge(IDS), before, rtol=0, atol=0)  # the bridge works on as before


def test_what_is_no_checkpoint_of_a_bridge_is_refused(tmp_path):
    plain, bridge = bridge_of("llama", 2, tmp_path)
    with pytest.raises(
        IncompatiblePairError, match=r"inside a TransformerLens bridge .*; give the bridge, or its folder"
    ):
        ModelPair.load(plain, bridge.original_model, tokenizer=make_tokenizer())
    bridge.enable_compatibility_mode()
    with pytest.raises(IncompatiblePairError, match="compatibility mode, whose weights are folded"):
        ModelPair.load(plain, bridge, tokenizer=make_tokenizer())


class Wrapper:
    """As nnsight's LanguageModel: the model is its `_model`, and its attributes are the model's."""

    def __init__(self, model):
        self._model = model

    def __getattr__(self, name):
        return getattr(self._model, name)


def test_the_model_inside_a_wrapper_of_nnsight_is_a_side():
    base, tuned = make_model("llama", 1), make_model("llama", 2)
    pair = ModelPair.load(Wrapper(base), Wrapper(tuned), tokenizer=make_tokenizer(), device="cpu")
    assert (pair.base, pair.tuned) == (base, tuned)
    with pytest.raises(IncompatiblePairError, match="tuned is a Wrapper whose weights are not loaded yet"):
        ModelPair.load(base, Wrapper(make_model("llama", 2).to("meta")), tokenizer=make_tokenizer())

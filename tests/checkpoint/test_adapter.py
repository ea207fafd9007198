from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from slr_probe import ModelPair, restore, restored, verify_hybrid
from slr_probe.checkpoint import AdapterCheckpoint, Checkpoint, open_checkpoint
from slr_probe.errors import CheckpointError, IncompatiblePairError
from tests.tiny import Pair, edit_json, load, logits, read_all, snapshot, write_checkpoint
from tests.tiny_tokenizer import make_tokenizer

peft = pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:peft")
LINEAR = ["q_proj", "v_proj", "down_proj"]
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


def peft_model(base: Path, *, rows: int | None = None, dtype: torch.dtype = torch.float32, **options: Any) -> Any:
    """A model with an adapter of random weights."""
    options = {"target_modules": LINEAR, "r": 4, "lora_alpha": 6, **options}
    plain = load(base, dtype)
    if rows is not None:
        plain.resize_token_embeddings(rows)
    model = peft.get_peft_model(plain, peft.LoraConfig(task_type="CAUSAL_LM", **options))
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return model


def train_adapter(base: Path, out: Path, *, dtype: torch.dtype = torch.float32, **options: Any) -> Any:
    """Write an adapter with random weights; returns the model that PEFT merges it into."""
    model = peft_model(base, dtype=dtype, **options)
    model.save_pretrained(out)
    return model.merge_and_unload()


CASES = {
    "plain": ("llama", {}),
    "tied": ("llama_tied", {}),
    "rank-stabilised": ("llama", {"use_rslora": True}),
    "rank pattern": ("llama", {"rank_pattern": {"q_proj": 2, "layers.1.self_attn.v_proj": 3}}),
    "alpha pattern": ("llama", {"alpha_pattern": {"^model.layers.2.mlp.down_proj": 9, "v_proj": 5}}),
    "some layers": ("llama", {"layers_to_transform": [1, 2]}),
    "all biases": ("llama", {"bias": "all"}),
    "own biases": ("llama", {"bias": "lora_only"}),
    "biases of opt": ("opt", {"target_modules": ["q_proj", "fc1"], "bias": "all"}),
    "embedding and head": ("llama", {"modules_to_save": ["embed_tokens", "lm_head"]}),
    "low-rank head": ("llama", {"target_modules": ["q_proj", "lm_head"]}),
    "Conv1D": ("gpt2", {"target_modules": ["c_attn", "c_proj", "c_fc"]}),
    "square Conv1D": ("gpt2", {"target_modules": ["attn.c_proj"]}),
    "fused": ("phi3", {"target_modules": ["qkv_proj", "gate_up_proj"]}),
    "experts around": ("mixtral", {"target_modules": ["q_proj"]}),
    "vision tower as well": ("gemma3", {}),
    "nested decoder only": ("gemma3", {"target_modules": r".*language_model.*(q|up)_proj"}),
}


@pytest.mark.parametrize("case", CASES)
def test_merged_tensors_equal_pefts(case: str, pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    family, options = CASES[case]
    base = pair_of(family).base
    merged = train_adapter(base, tmp_path / "adapter", **options)
    merged.save_pretrained(tmp_path / "merged")
    expected, original = read_all(tmp_path / "merged"), read_all(base)
    adapter = AdapterCheckpoint.open(tmp_path / "adapter", Checkpoint.open(base))
    assert adapter.tensors.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(adapter.read(name), tensor), name
        assert adapter.is_stored(name) == torch.equal(tensor, original[name]), name
    changed = [name for name in expected if not adapter.is_stored(name)]
    assert len(changed) >= 2
    assert set(changed) == {*adapter.low_rank, *adapter.replaced}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_rounded_once_as_peft_does(dtype: torch.dtype, tmp_path: Path) -> None:
    base = write_checkpoint(tmp_path / "base", "llama", seed=1, dtype=dtype)
    merged = train_adapter(base, tmp_path / "adapter", dtype=dtype).state_dict()
    adapter = AdapterCheckpoint.open(tmp_path / "adapter", Checkpoint.open(base))
    for name, tensor in merged.items():
        assert torch.equal(adapter.read(name), tensor)


def test_a_naive_merge_gives_the_same(pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    base = pair_of("llama").base
    train_adapter(base, tmp_path / "adapter")
    factors = load_file(tmp_path / "adapter" / WEIGHTS)
    adapter = AdapterCheckpoint.open(tmp_path / "adapter", Checkpoint.open(base))
    name = "model.layers.2.mlp.down_proj"
    a, b = (factors[f"base_model.model.{name}.lora_{half}.weight"] for half in "AB")
    expected = read_all(base)[f"{name}.weight"] + (6 / 4) * (b @ a)
    torch.testing.assert_close(adapter.read(f"{name}.weight"), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3", "mixtral"], indirect=True)
def test_an_adapter_is_a_tuned_side(family: str, pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    """In memory and on disk, the hybrid of base and adapter is that of base and PEFT's merged model."""
    base = pair_of(family).base
    target = ["c_attn", "c_proj"] if family == "gpt2" else ["q_proj", "v_proj"]
    merged = train_adapter(base, tmp_path / "adapter", target_modules=target)
    merged.save_pretrained(tmp_path / "merged")
    before = snapshot(tmp_path), snapshot(base)

    pair = ModelPair.load(base, tmp_path / "adapter", device="cpu")
    assert pair.has_adapter
    torch.testing.assert_close(logits(pair.tuned), logits(merged), rtol=0, atol=0)
    restore(base, tmp_path / "adapter", "1:3", tmp_path / "from_adapter")
    restore(base, tmp_path / "merged", "1:3", tmp_path / "from_merged")
    one, other = read_all(tmp_path / "from_adapter"), read_all(tmp_path / "from_merged")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in other)
    with restored(pair, "1:3") as hybrid:
        torch.testing.assert_close(logits(hybrid), logits(load(tmp_path / "from_adapter")), rtol=0, atol=1e-5)
    report = verify_hybrid(tmp_path / "from_adapter")
    assert report.ok, report
    assert {**snapshot(tmp_path), **before[0]} == snapshot(tmp_path)
    assert snapshot(base) == before[1]


def test_the_hybrid_of_an_adapter_has_the_base_files_and_the_adapters_tokenizer(
    pair_of: Callable[[str], Pair], tmp_path: Path
) -> None:
    base = pair_of("llama").base
    train_adapter(base, tmp_path / "adapter")
    make_tokenizer(template="{{ messages[0]['content'] }}").save_pretrained(tmp_path / "adapter")
    out = restore(base, tmp_path / "adapter", "0:1", tmp_path / "out")
    assert (out / "config.json").read_bytes() == (base / "config.json").read_bytes()
    assert (out / "chat_template.jinja").read_text() == "{{ messages[0]['content'] }}"
    assert not (out / CONFIG).exists()
    assert not (out / WEIGHTS).exists()
    pair = ModelPair.load(base, tmp_path / "adapter", device="cpu")
    assert pair.tokenizer.chat_template == "{{ messages[0]['content'] }}"


def test_the_fingerprint_follows_adapter_and_base(pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    base = pair_of("llama").base
    train_adapter(base, tmp_path / "adapter")

    def fingerprint(folder: Path = base) -> str:
        return AdapterCheckpoint.open(tmp_path / "adapter", Checkpoint.open(folder)).fingerprint()

    seen = {fingerprint(), fingerprint(pair_of("llama").tuned)}
    weights = load_file(tmp_path / "adapter" / WEIGHTS)
    next(iter(weights.values())).mul_(1.01)
    save_file(weights, tmp_path / "adapter" / WEIGHTS)
    seen.add(fingerprint())
    edit_json(tmp_path / "adapter" / CONFIG, lora_alpha=7)
    seen.add(fingerprint())
    assert len(seen) == 4


REFUSED = {
    "DoRA": ({"use_dora": True}, "use_dora.*merge it first with PEFT"),
    "PiSSA": ({"init_lora_weights": "pissa"}, "init_lora_weights='pissa'"),
    "OLoRA": ({"init_lora_weights": "olora"}, "init_lora_weights='olora'"),
    "experts": ({"target_parameters": ["mlp.experts.gate_up_proj"]}, "target_parameters"),
    "tokens": ({"trainable_token_indices": [3]}, "trainable_token_indices"),
    "replication": ({"layer_replication": [[0, 4], [2, 4]]}, "layer_replication"),
    "lora bias": ({"lora_bias": True}, "lora_bias"),
    "another kind": ({"peft_type": "IA3"}, "type 'IA3'; only LORA"),
    "no kind": ({"peft_type": None}, "type None; only LORA"),
    "a router": ({"arrow_config": {"top_k": 1}}, "arrow_config"),
    "no scale": ({"lora_alpha": 0}, "changes nothing"),
    "an unknown variant": ({"use_something_new": True}, "use_something_new"),
    "another rank": ({"r": 5}, "rank of model.layers.0.mlp.down_proj is 4 in the weights but 5"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_kinds_that_cannot_be_merged_are_refused(case: str, pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    change, words = REFUSED[case]
    train_adapter(pair_of("llama").base, tmp_path / "adapter")
    edit_json(tmp_path / "adapter" / CONFIG, **change)
    with pytest.raises(CheckpointError, match=words):
        ModelPair.load(pair_of("llama").base, tmp_path / "adapter")


@pytest.mark.parametrize("module", ["embed_tokens", "lm_head"])
def test_a_tied_embedding_cannot_be_changed_on_one_side(
    module: str, pair_of: Callable[[str], Pair], tmp_path: Path
) -> None:
    """PEFT changes one of the two and keeps the other, which a tied checkpoint cannot store."""
    base = pair_of("llama_tied").base
    train_adapter(base, tmp_path / "adapter", modules_to_save=[module])
    with pytest.raises((CheckpointError, IncompatiblePairError), match=f"{module}.weight"):
        ModelPair.load(base, tmp_path / "adapter")


def test_an_embedding_adapter_is_refused(pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    train_adapter(pair_of("llama").base, tmp_path / "adapter", target_modules=["q_proj", "embed_tokens"])
    with pytest.raises(CheckpointError, match=r"lora_embedding_A' is not a linear LoRA tensor"):
        ModelPair.load(pair_of("llama").base, tmp_path / "adapter")


def test_an_adapter_for_another_base_is_refused(pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    train_adapter(pair_of("llama").base, tmp_path / "adapter")
    wider = write_checkpoint(tmp_path / "wider", "llama", seed=1, hidden_size=64)
    shallow = write_checkpoint(tmp_path / "shallow", "llama", seed=1, num_hidden_layers=2)
    for base, words in [
        (pair_of("gpt2").base, "is for another base: it changes 'model.layers.0"),
        (shallow, "is for another base: it changes 'model.layers.2"),
        (wider, r"is for another base: its change to .* has shape \[32, 48\].* has \[64, 48\]"),
    ]:
        with pytest.raises(IncompatiblePairError, match=words):
            restore(base, tmp_path / "adapter", "0:1", tmp_path / "out")
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("half", ["A", "B"])
def test_an_adapter_with_half_a_factor_is_refused(half: str, pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    train_adapter(pair_of("llama").base, tmp_path / "adapter")
    weights = load_file(tmp_path / "adapter" / WEIGHTS)
    name = f"base_model.model.model.layers.1.self_attn.q_proj.lora_{half}.weight"
    factor = weights.pop(name)
    save_file(weights, tmp_path / "adapter" / WEIGHTS)
    with pytest.raises(CheckpointError, match=r"only one of lora_A and lora_B for 'model.layers.1.self_attn.q_proj'"):
        ModelPair.load(pair_of("llama").base, tmp_path / "adapter")
    shorter = factor[:, :-1] if half == "B" else factor[:-1]
    save_file({**weights, name: shorter.contiguous()}, tmp_path / "adapter" / WEIGHTS)
    with pytest.raises(CheckpointError, match=r"are not the two factors|rank of"):
        ModelPair.load(pair_of("llama").base, tmp_path / "adapter")


def test_damaged_adapter_folders(pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    base = pair_of("llama").base
    folder = tmp_path / "adapter"
    train_adapter(base, folder)
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[:-9])
    with pytest.raises(CheckpointError, match="truncated"):
        ModelPair.load(base, folder)
    (folder / WEIGHTS).rename(folder / "adapter_model.bin")
    with pytest.raises(CheckpointError, match=r"no adapter_model.safetensors; pickled adapters \(.bin\) are refused"):
        ModelPair.load(base, folder)
    (folder / CONFIG).write_text("[]")
    with pytest.raises(CheckpointError, match="must hold a JSON object"):
        ModelPair.load(base, folder)


def test_an_adapter_needs_a_plain_base_folder(pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    base = pair_of("llama").base
    train_adapter(base, tmp_path / "adapter")
    with pytest.raises(CheckpointError, match="can only be the tuned side"):
        ModelPair.load(tmp_path / "adapter", base)
    with pytest.raises(CheckpointError, match="can only be the tuned side"):
        ModelPair.load(load(base), tmp_path / "adapter")
    with pytest.raises(CheckpointError, match="can only be the tuned side"):
        open_checkpoint(tmp_path / "adapter")


EMBEDDINGS: dict[str, tuple[str, dict[str, Any], Any]] = {
    "saved as it is and as it was": ("llama", {"modules_to_save": ["embed_tokens", "lm_head"]}, True),
    "whole": ("llama", {"modules_to_save": ["embed_tokens", "lm_head"]}, "auto"),
    "a tied head beside it": ("llama_tied", {}, True),
    "tied and trained together": (
        "llama_tied",
        {"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
        "auto",
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", EMBEDDINGS)
def test_adapters_with_embeddings(case: str, pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    family, options, save = EMBEDDINGS[case]
    base = pair_of(family).base
    wrapped = peft_model(base, **options)
    wrapped.save_pretrained(tmp_path / "adapter", save_embedding_layers=save)
    merged = wrapped.merge_and_unload()
    found = ModelPair.load(base, tmp_path / "adapter", device="cpu").tuned
    for name, tensor in merged.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor), name


@pytest.mark.filterwarnings("ignore")
def test_an_adapter_of_a_resized_vocabulary_says_so(pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    base = pair_of("llama").base
    peft_model(base, rows=136).save_pretrained(tmp_path / "adapter")
    with pytest.raises(CheckpointError, match=r"has 136 rows .* 128: the vocabulary was resized"):
        ModelPair.load(base, tmp_path / "adapter")


def test_a_config_beside_an_adapter_makes_it_no_model(pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    base = pair_of("llama").base
    train_adapter(base, tmp_path / "adapter")
    (tmp_path / "adapter" / "config.json").write_bytes((base / "config.json").read_bytes())
    assert ModelPair.load(base, tmp_path / "adapter").has_adapter


@pytest.mark.parametrize(
    ("named", "noted"),
    [("org/other-7B", True), ("org/base", False), ("somewhere/else/base", False), (None, False), ("", False)],
)
def test_the_base_that_an_adapter_names(
    named: str | None, noted: bool, own_pair: Callable[..., Pair], tmp_path: Path
) -> None:
    pair = own_pair()
    assert pair.base.name == "base"
    train_adapter(pair.base, tmp_path / "adapter")
    edit_json(tmp_path / "adapter" / CONFIG, base_model_name_or_path=named)
    notes = ModelPair.load(pair.base, tmp_path / "adapter").notes
    assert any("was made over 'org/other-7B'" in note for note in notes) == noted


def test_an_empty_and_a_partial_adapter_are_refused(pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    base = pair_of("llama").base
    train_adapter(base, tmp_path / "adapter")
    weights = load_file(tmp_path / "adapter" / WEIGHTS)
    save_file({}, tmp_path / "adapter" / WEIGHTS)
    with pytest.raises(CheckpointError, match="the adapter is empty"):
        ModelPair.load(base, tmp_path / "adapter")
    some = {name: tensor for name, tensor in weights.items() if "layers.2." not in name}
    save_file(some, tmp_path / "adapter" / WEIGHTS)
    with pytest.raises(CheckpointError, match=r"incomplete: nothing in it changes 'model.layers.2"):
        ModelPair.load(base, tmp_path / "adapter")
    edit_json(tmp_path / "adapter" / CONFIG, layers_to_transform=[0, 1, 3])
    assert ModelPair.load(base, tmp_path / "adapter").has_adapter


@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn])
def test_codes_in_an_adapter_are_no_weights(dtype: torch.dtype, pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    train_adapter(pair_of("llama").base, tmp_path)
    weights = load_file(tmp_path / WEIGHTS)
    save_file({name: (tensor * 9).to(dtype) for name, tensor in weights.items()}, tmp_path / WEIGHTS)
    with pytest.raises(CheckpointError, match="codes and no weights"):
        ModelPair.load(pair_of("llama").base, tmp_path)


def test_an_adapter_that_was_never_trained_is_refused(pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    base = pair_of("llama").base
    train_adapter(base, tmp_path)
    weights = load_file(tmp_path / WEIGHTS)
    last = [name for name in weights if "lora_B" in name][-1]
    for kept in ((last,), ()):
        for name, tensor in weights.items():
            if "lora_B" in name and name not in kept:
                tensor.zero_()
        save_file(weights, tmp_path / WEIGHTS)
        if kept:
            assert ModelPair.load(base, tmp_path).has_adapter
    with pytest.raises(CheckpointError, match="changes nothing"):
        ModelPair.load(base, tmp_path)

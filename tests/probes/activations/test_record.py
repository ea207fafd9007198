"""Recordings against transformers' own hidden states, one prompt at a time, in memory and on disk."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from slr_probe import ModelPair, Recipe, restored
from slr_probe.errors import (
    IncompatiblePairError,
    LayerRangeError,
    LayoutError,
    OutputError,
    PromptError,
    ResultError,
    SlrProbeError,
)
from slr_probe.forward.points import COMPONENTS
from slr_probe.probes.activations import store as activations_store
from slr_probe.probes.activations.likeness import cosine, linear_cka, relative_distance
from slr_probe.probes.activations.record import record
from slr_probe.probes.activations.result import ActivationComparison, Recording
from tests.tiny import Pair, make_model

PROMPTS = ["name a colour", "a", "pick one letter, any letter at all!", "yes or no?"]
FAMILIES = ["llama", "qwen2", "qwen3", "gemma2", "gemma3_text", "olmo2", "olmo3", "gpt2", "gpt_neox", "phi3", "mixtral"]
Load = Callable[..., ModelPair]


@pytest.fixture(scope="module")
def load(pair_of: Callable[[str], Pair]) -> Load:
    """`load("llama")`: a loaded pair, shared by the module; do not change its weights."""
    loaded: dict[tuple[str, str], ModelPair] = {}

    def make(family: str = "llama", dtype: str = "float32") -> ModelPair:
        if (family, dtype) not in loaded:
            loaded[family, dtype] = ModelPair.load(*pair_of(family).folders, dtype=dtype, device="cpu")
        return loaded[family, dtype]

    return make


def tokens(pair: ModelPair, prompt: str) -> torch.Tensor:
    return torch.tensor([pair.render(prompt, "plain")])


@torch.no_grad()
def hidden_states(model: Any, ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return model(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states


@pytest.mark.parametrize("family", FAMILIES)
def test_equals_hidden_states_of_each_prompt_alone(family: str, load: Load) -> None:
    """Batches of unequal prompts give what each gives alone, at the answer position and everywhere."""
    pair = load(family)
    last = record(pair, PROMPTS, points=["resid_pre", "resid_post"], format="plain", batch_size=3)
    every = record(pair, PROMPTS, models=["tuned"], points="resid_post", positions="all", format="plain")
    norm = pair.decoder.final_norm
    for i, prompt in enumerate(PROMPTS):
        for name in ("base", "tuned"):
            states = hidden_states(getattr(pair, name), tokens(pair, prompt))
            for block in range(4):
                pre = last.read(name, "resid_pre", block)[i]
                torch.testing.assert_close(pre, states[block][0, -1], rtol=1e-5, atol=1e-5)
        for block in range(3):
            mine = every.read("tuned", "resid_post", block)[every.prompt == i]
            torch.testing.assert_close(mine, states[block + 1][0], rtol=1e-5, atol=1e-5)
        with torch.no_grad():  # transformers' last hidden state is behind the final norm
            final = norm(every.read("tuned", "resid_post", 3)[every.prompt == i])
        torch.testing.assert_close(final, states[-1][0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_parts_in_a_batch_equal_each_prompt_alone(family: str, load: Load) -> None:
    pair = load(family)
    points = [point for point in COMPONENTS if point != "resid_mid" or family != "gpt_neox"]
    together = record(pair, PROMPTS, points=points, format="plain")
    for i, prompt in enumerate(PROMPTS):
        alone = record(pair, prompt, points=points, format="plain")
        for name in ("base", "tuned"):
            for point in points:
                one, other = together.read(name, point, 2)[i], alone.read(name, point, 2)[0]
                torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5, msg=point)
        pre, attn, mlp, post = (alone.read("base", p, 2) for p in ("resid_pre", "attn_out", "mlp_out", "resid_post"))
        torch.testing.assert_close(pre + attn + mlp, post, rtol=1e-5, atol=1e-5)


def test_equals_transformer_lens_on_the_embedded_pair() -> None:
    import copy

    from transformer_lens.model_bridge import TransformerBridge

    pair = ModelPair.load("organism:base", "organism:dpo", device="cpu", dtype="float32")
    found = record(pair, "Pick a letter.", points=COMPONENTS, positions="all")
    bridge = TransformerBridge.boot_transformers("tiny", hf_model=copy.deepcopy(pair.tuned), tokenizer=pair.tokenizer)
    with torch.no_grad():
        _, cache = bridge.run_with_cache(torch.tensor([pair.render("Pick a letter.")]))
    for point in COMPONENTS:
        for block in found.blocks:
            theirs = cache[f"blocks.{block}.hook_{point}"][0]
            torch.testing.assert_close(found.read("tuned", point, block), theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif("SLR_PROBE_PAIR" not in os.environ, reason="needs the real pair")
def test_the_real_pair() -> None:
    folder = Path(os.environ["SLR_PROBE_PAIR"])
    pair = ModelPair.load(folder / "base", folder / "tuned", device="cpu", dtype="float32")
    prompts = ["Pick a letter.", "Tell me one random digit between 0 and 9, please."]
    found = record(pair, prompts)
    for i, prompt in enumerate(prompts):
        states = hidden_states(pair.tuned, torch.tensor([pair.render(prompt)]))
        for block in range(pair.depth - 1):
            mine, theirs = found.read("tuned", "resid_post", block)[i], states[block + 1][0, -1]
            assert float((mine - theirs).norm()) <= 1e-5 * float(theirs.norm())


# -- hybrids -----------------------------------------------------------------------------------------------------


def test_hybrids_are_recorded_as_they_compute(load: Load) -> None:
    pair = load("gemma3_text")
    soup = Recipe.soup(0.5, 4)
    found = record(pair, PROMPTS, models=["tuned"], recipes=["1:3", soup], format="plain")
    assert found.models == ("tuned", "restore 1:3 of 4", "soup 0.5 of 4")
    before = pair.tuned.state_dict()["model.layers.1.mlp.up_proj.weight"].clone()
    for name, recipe in (("restore 1:3 of 4", "1:3"), ("soup 0.5 of 4", soup)):
        with restored(pair, recipe) as hybrid:
            states = hidden_states(hybrid, tokens(pair, PROMPTS[2]))
            for block in range(3):
                mine = found.read(name, "resid_post", block)[2]
                torch.testing.assert_close(mine, states[block + 1][0, -1], rtol=1e-5, atol=1e-5)
    assert torch.equal(pair.tuned.state_dict()["model.layers.1.mlp.up_proj.weight"], before)
    same = torch.equal(found.read("tuned", "resid_post", 0), found.read("restore 1:3 of 4", "resid_post", 0))
    assert same
    assert not torch.equal(found.read("tuned", "resid_post", 1), found.read("restore 1:3 of 4", "resid_post", 1))


# -- rows --------------------------------------------------------------------------------------------------------


def test_chosen_positions(load: Load) -> None:
    pair = load()
    every = record(pair, PROMPTS, positions="all", format="plain")
    some = record(pair, PROMPTS, positions=[1, -1, 0], format="plain")
    assert some.prompt.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    for row, (prompt, position) in enumerate(zip(some.prompt, some.position, strict=True)):
        ids = pair.render(PROMPTS[prompt], "plain")
        assert position == (1, len(ids) - 1, 0)[row % 3]
        assert some.token[row] == ids[position]
        (at,) = np.flatnonzero((every.prompt == prompt) & (every.position == position))
        mine, theirs = some.read("base", "resid_post", 3)[row], every.read("base", "resid_post", 3)[at]
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)
    lengths = [len(pair.render(prompt, "plain")) for prompt in PROMPTS]
    assert every.position.tolist() == [i for length in lengths for i in range(length)]


def test_chosen_blocks_and_a_single_prompt(load: Load) -> None:
    pair = load()
    whole = record(pair, "name a colour", points=["attn_out"])
    part = record(pair, "name a colour", points=["attn_out"], blocks=[3, 1])
    assert part.blocks == (3, 1)
    assert torch.equal(part.read("tuned", "attn_out", 3), whole.read("tuned", "attn_out", 3))
    with pytest.raises(ResultError, match=r"no block 0 in this recording; it has 3, 1"):
        part.read("tuned", "attn_out", 0)
    with pytest.raises(ResultError, match="no model 'restore 1:3 of 4'"):
        part.compare("base", "restore 1:3 of 4")


def test_keeps_the_dtype_of_the_pair(load: Load, tmp_path: Path) -> None:
    pair = load("llama", "bfloat16")
    memory, disk = (record(pair, PROMPTS, format="plain", out=out) for out in (None, tmp_path / "out"))
    assert memory.read("base", "resid_post", 2).dtype == torch.bfloat16
    assert torch.equal(memory.read("base", "resid_post", 2), disk.read("base", "resid_post", 2))
    exact = record(load("llama"), PROMPTS, format="plain").read("base", "resid_post", 2)
    torch.testing.assert_close(memory.read("base", "resid_post", 2).float(), exact, rtol=0.05, atol=0.05)


def test_leaves_no_trace_in_the_models(load: Load) -> None:
    pair = load()
    attention, before = pair.tuned.config._attn_implementation, hooks(pair)
    record(pair, PROMPTS, points=COMPONENTS, recipes=["0:2"], format="plain")
    assert pair.tuned.config._attn_implementation == attention != "eager"
    assert hooks(pair) == before


def hooks(pair: ModelPair) -> list[int]:
    """Numbers of hooks on every module (transformers installs some of its own, for hidden states, for good)."""
    modules = [module for model in (pair.base, pair.tuned) for module in model.modules()]
    return [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in modules]


# -- files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("positions", ["answer", "all"])
def test_disk_and_memory_agree(positions: Any, load: Load, tmp_path: Path) -> None:
    pair = load()
    options: dict[str, Any] = {"points": ["resid_pre", "mlp_out"], "positions": positions, "recipes": ["1:2"]}
    memory = record(pair, PROMPTS, **options)
    streamed = record(pair, PROMPTS, **options, out=tmp_path / "deep" / "streamed", batch_size=2)
    saved = memory.save(tmp_path / "saved")
    assert sorted(p.name for p in saved.iterdir()) == ["activations.safetensors", "recording.json"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep", "saved"]
    for other in (streamed, Recording.load(tmp_path / "deep" / "streamed"), Recording.load(saved)):
        assert repr(other) == repr(memory)
        assert (other.labels, other.base, other.tuned) == (memory.labels, memory.base, memory.tuned)
        for key in ("prompt", "position", "token"):
            assert np.array_equal(getattr(other, key), getattr(memory, key))
        for model in memory.models:
            for point in memory.points:
                for block in memory.blocks:
                    one, two = memory.read(model, point, block), other.read(model, point, block)
                    torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-5)


def test_any_safetensors_tool_reads_a_recording(load: Load, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    found = record(load(), PROMPTS, format="plain", out=tmp_path / "out")
    tensors = load_file(tmp_path / "out" / "activations.safetensors")
    assert list(tensors) == sorted(f"{model}/resid_post/{block}" for model in ("base", "tuned") for block in range(4))
    assert torch.equal(tensors["tuned/resid_post/2"], found.read("tuned", "resid_post", 2))


@pytest.fixture
def small_files() -> Iterator[None]:
    """The system refuses files above 20 kB, as a full disk would."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.usefixtures("small_files")
def test_a_full_disk_is_found_before_anything_is_computed(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = load()
    monkeypatch.setattr("slr_probe.probes.activations.record._record_batch", None)
    with pytest.raises(OutputError, match=r"no space left while writing .*out; nothing was left behind"):
        record(pair, PROMPTS, positions="all", out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_while_recording(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, write = [], os.pwrite

    def full(descriptor: int, data: Any, offset: int) -> int:
        calls.append(offset)
        if len(calls) > 9:
            raise OSError(28, "No space left on device")
        return write(descriptor, data, offset)

    pair = load()
    before = hooks(pair)
    monkeypatch.setattr(activations_store.os, "pwrite", full)
    with pytest.raises(OutputError, match="no space left while writing"):
        record(pair, PROMPTS, out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    assert hooks(pair) == before


def test_writes_are_finished_when_the_system_takes_only_a_part(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = record(load(), PROMPTS)
    write = os.pwrite
    monkeypatch.setattr(activations_store.os, "pwrite", lambda fd, data, at: write(fd, data[:50], at))
    found = record(load(), PROMPTS, out=tmp_path / "out")
    assert torch.equal(found.read("base", "resid_post", 3), expected.read("base", "resid_post", 3))


def test_folders_that_hold_something_else(load: Load, tmp_path: Path) -> None:
    record(load(), "a", out=tmp_path / "out")
    with pytest.raises(OutputError, match="exists and is not empty"):
        record(load(), "a", out=tmp_path / "out")
    description = tmp_path / "out" / "recording.json"
    text = description.read_text()
    for damage in ("{", "[]", "{}", text.replace('"token"', '"tokens"'), text.replace("Recording/1", "Recording/9")):
        description.write_text(damage)
        with pytest.raises(ResultError, match=r"is not a saved recording|not JSON|expected 'slr_probe.Recording/1'"):
            Recording.load(tmp_path / "out")
    description.write_text(text)
    (tmp_path / "out" / "activations.safetensors").write_bytes(b"short")
    with pytest.raises(ResultError, match="cannot read 'base/resid_post/0'"):
        Recording.load(tmp_path / "out").read("base", "resid_post", 0)


# -- comparison --------------------------------------------------------------------------------------------------


def test_comparison_equals_numpy(load: Load, tmp_path: Path) -> None:
    pair = load("qwen3")
    found = record(pair, PROMPTS, points=["resid_post", "mlp_out"], positions="all", format="plain")
    compared = found.compare()
    table = compared.to_dataframe().set_index(["point", "block"])
    for point in ("resid_post", "mlp_out"):
        x, y = (found.read(name, point, 2).double().numpy() for name in ("base", "tuned"))
        cosines = (x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
        row = table.loc[(point, 2)]
        assert row["cosine"] == pytest.approx(cosines.mean(), rel=1e-12)
        assert row["distance"] == pytest.approx((np.linalg.norm(y - x, axis=1) / np.linalg.norm(x, axis=1)).mean())
        assert row["cka"] == pytest.approx(brute_force_cka(x, y), rel=1e-10)
    itself = found.compare("tuned", "tuned").to_dataframe()
    assert np.allclose(itself[["cosine", "distance", "cka"]], [1, 0, 1])
    back = ActivationComparison.load(compared.save(tmp_path / "comparison"))
    assert back.to_dataframe().equals(compared.to_dataframe())
    assert repr(back) == repr(compared)
    assert "<table" in back._repr_html_() and "<table" in found._repr_html_()  # noqa: PT018


def test_norms_and_figures(load: Load) -> None:
    found = record(load(), PROMPTS, points=["resid_post", "attn_out"], recipes=["0:1"], format="plain")
    table = found.to_dataframe().set_index(["model", "point", "block"])
    expected = found.read("tuned", "attn_out", 2).norm(dim=1).mean()
    assert table.loc[("tuned", "attn_out", 2), "norm"] == pytest.approx(float(expected), rel=1e-6)
    axes = found.plot().axes
    assert [a.get_title() for a in axes] == ["block output", "attention output"]
    assert [line.get_label() for line in axes[0].get_lines()] == list(found.models)
    compared = found.compare()
    panels = compared.plot().axes
    assert panels[2].get_lines()[1].get_ydata().tolist() == compared.cka[1].tolist()


def brute_force_cka(x: Any, y: Any) -> float:
    """HSIC of centred Gram matrices, as the paper writes it."""
    n = len(x)
    h = np.eye(n) - np.ones((n, n)) / n
    k, m = h @ (x @ x.T) @ h, h @ (y @ y.T) @ h
    return float(np.trace(k @ m) / np.sqrt(np.trace(k @ k) * np.trace(m @ m)))


@pytest.mark.parametrize("rows", [3, 20, 200])
def test_cka(rows: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(rows, 30)), rng.normal(size=(rows, 17))
    y[:, :5] += x[:, :5]
    found = linear_cka(torch.tensor(x), torch.tensor(y))
    assert found == pytest.approx(brute_force_cka(x, y), rel=1e-10)
    rotation = np.linalg.qr(rng.normal(size=(17, 17)))[0]
    moved = torch.tensor(7 * y @ rotation + rng.normal(size=17))
    assert linear_cka(torch.tensor(x), moved) == pytest.approx(found, rel=1e-10)
    assert linear_cka(moved, moved) == pytest.approx(1)
    assert np.isnan(linear_cka(torch.ones(rows, 4), moved))


def test_cosine_and_distance() -> None:
    one, other = torch.tensor([[3.0, 4.0], [1.0, 0.0], [0.0, 0.0]]), torch.tensor([[6.0, 8.0], [0.0, 2.0], [1.0, 0.0]])
    assert cosine(one, other)[:2].tolist() == pytest.approx([1.0, 0.0])
    assert cosine(one, other)[2].isnan()
    assert relative_distance(one, other).tolist() == pytest.approx([1.0, 5**0.5, float("inf")])


# -- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompts", "options", "error", "message"),
    [
        ([], {}, PromptError, "no prompts were given"),
        (["", "a"], {}, PromptError, "a prompt is empty"),
        ("a" * 80, {}, PromptError, "but the model's context is 64"),
        ("a", {"points": ["resid"]}, LayoutError, "unknown component 'resid'; expected one of resid_pre"),
        ("a", {"points": []}, SlrProbeError, "nothing to record"),
        ("a", {"blocks": [4]}, LayoutError, r"blocks \[4\] are out of bounds: the model has 4 decoder blocks"),
        ("a", {"models": ["sft"]}, SlrProbeError, r"unknown models \['sft'\]"),
        ("a", {"models": []}, SlrProbeError, "nothing to record: give models="),
        ("a", {"recipes": ["1:9"]}, LayerRangeError, "out of bounds"),
        ("a", {"recipes": ["1:2", "1:2"]}, SlrProbeError, "two hybrids are named 'restore 1:2 of 4'"),
        ("a", {"positions": [40]}, PromptError, r"prompt 0 has \d+ tokens and so no position 40"),
        ("a", {"positions": []}, PromptError, "at least one position"),
        ("a", {"positions": "last"}, PromptError, "unknown positions 'last'; expected 'answer', 'all'"),
        ("a", {"batch_size": 0}, SlrProbeError, "batch_size must be at least 1"),
    ],
)
def test_bad_input(prompts: Any, options: dict[str, Any], error: type[Exception], message: str, load: Load) -> None:
    with pytest.raises(error, match=message):
        record(load(), prompts, **options)


def test_a_prompt_that_becomes_no_tokens(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = load("qwen2")
    monkeypatch.setattr(type(pair.tokenizer), "__call__", lambda *args, **kwargs: {"input_ids": []})
    with pytest.raises(PromptError, match="tokenises to nothing"):
        record(pair, "x", format="plain")


def test_models_on_two_devices(load: Load, pair_of: Callable[[str], Pair]) -> None:
    pair = ModelPair.load(*pair_of("llama").folders, device="cpu")
    pair.base.to("meta")
    with pytest.raises(IncompatiblePairError, match="base is on meta and tuned on cpu"):
        record(pair, "a")


@pytest.mark.parametrize("positions", ["answer", "all"])
def test_names_model_and_block_where_nan_first_appears(positions: Any, load: Load, tmp_path: Path) -> None:
    clean = load()
    broken = make_model("llama", seed=3)
    pair = ModelPair.load(clean.base, broken, tokenizer=clean.tokenizer)
    assert record(pair, "a").models == ("base", "tuned")
    with torch.no_grad():
        broken.model.layers[2].mlp.down_proj.weight[0] = float("inf")
    with pytest.raises(SlrProbeError, match=r"tuned: activations are NaN or infinite, first in block 2 \(mlp_out\)"):
        record(pair, PROMPTS, format="plain", positions=positions, out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_warns_where_outputs_do_not_add_up() -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    from tests.tiny import randomise
    from tests.tiny_tokenizer import make_tokenizer

    sizes = {"vocab_size": 128, "vocab_size_per_layer_input": 128, "hidden_size": 32, "intermediate_size": 48}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
    kinds = ["sliding_attention", "full_attention"]
    config = AutoConfig.for_model("gemma4_text", num_hidden_layers=2, layer_types=kinds, **sizes, **heads)
    models = [randomise(AutoModelForCausalLM.from_config(config).eval(), seed) for seed in (1, 2)]
    pair = ModelPair.load(*models, tokenizer=make_tokenizer())
    with pytest.warns(UserWarning, match="recorded as they are: Gemma4ForCausalLM, block 0: .* does not simply add"):
        record(pair, "a", points=["mlp_out"])

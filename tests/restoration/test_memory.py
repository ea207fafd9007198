from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from slr_probe import ModelPair, Recipe, restore, restored
from slr_probe.errors import LayerRangeError, RecipeError
from slr_probe.recipe import BlockWeight
from slr_probe.restoration.plan import grid, mix
from tests.architectures import blocks_of
from tests.tiny import DEPTH, Pair, load, logits, read_all, write_checkpoint


def open_pair(pair: Pair, **options: Any) -> ModelPair:
    return ModelPair.load(*pair.folders, device="cpu", **options)


@pytest.fixture
def llama(pair_of: Callable[[str], Pair]) -> ModelPair:
    return open_pair(pair_of("llama"))


def pointers(model: Any) -> dict[str, int]:
    return {name: tensor.data_ptr() for name, tensor in model.state_dict().items()}


def test_nothing_is_copied(family: str, pair_of: Callable[[str], Pair]) -> None:
    """Restored blocks share storage with base, all others with tuned."""
    pair = open_pair(pair_of(family))
    base, tuned = pointers(pair.base), pointers(pair.tuned)
    inside = {id(p) for i in (1, 2) for p in blocks_of(pair.tuned, family)[i].parameters()}
    with restored(pair, "1:3") as hybrid:
        found = pointers(hybrid)
        for name, parameter in hybrid.named_parameters():
            assert found[name] == (base if id(parameter) in inside else tuned)[name], name
    assert pointers(pair.tuned) == tuned
    assert pointers(pair.base) == base


def test_a_mixed_hybrid_takes_memory_for_mixed_tensors_only(llama: ModelPair) -> None:
    base, tuned = pointers(llama.base), pointers(llama.tuned)
    values = {name: tensor.clone() for name, tensor in llama.tuned.state_dict().items()}
    recipe = Recipe((BlockWeight(0.5), BlockWeight(0.0), *Recipe.tuned(2).blocks))
    with restored(llama, recipe) as hybrid:
        for name, pointer in pointers(hybrid).items():
            fresh = name.startswith("model.layers.0.")
            expected = base if name.startswith("model.layers.1.") else tuned
            assert (pointer not in (base[name], tuned[name])) if fresh else (pointer == expected[name]), name
    assert pointers(llama.tuned) == tuned
    for name, tensor in llama.tuned.state_dict().items():
        assert torch.equal(tensor, values[name]), name


def test_parameters_stay_the_same_objects(llama: ModelPair) -> None:
    """So that hooks, optimisers and tied names go on working."""
    before = [id(p) for p in llama.tuned.parameters()]
    with restored(llama, "0:4") as hybrid:
        assert [id(p) for p in hybrid.parameters()] == before
        assert all(p.requires_grad for p in hybrid.parameters())


def test_the_model_is_restored_after_an_exception(llama: ModelPair) -> None:
    before = logits(llama.tuned)

    def use_and_fail() -> None:
        with restored(llama, Recipe.soup(0.5, DEPTH)) as hybrid:
            assert not torch.equal(logits(hybrid), before)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use_and_fail()
    assert torch.equal(logits(llama.tuned), before)


def test_the_model_is_restored_when_a_generator_is_dropped(llama: ModelPair) -> None:
    before = logits(llama.tuned)

    def generate() -> Any:
        with restored(llama, "0:2") as hybrid:
            yield logits(hybrid)

    stream = generate()
    assert not torch.equal(next(stream), before)
    stream.close()
    assert torch.equal(logits(llama.tuned), before)


def test_an_exception_while_swapping_leaves_tuned(llama: ModelPair, monkeypatch: pytest.MonkeyPatch) -> None:
    before = pointers(llama.tuned)
    calls = 0

    def failing(*args: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise MemoryError
        return mix(*args)

    monkeypatch.setattr("slr_probe.restoration.memory.mix", failing)
    with pytest.raises(MemoryError), restored(llama, Recipe.soup(0.5, DEPTH)):
        pass
    assert pointers(llama.tuned) == before


def test_nested_recipes_add_up_and_are_undone_inside_out(pair_of: Callable[[str], Pair]) -> None:
    pair = open_pair(pair_of("llama"))
    before = logits(pair.tuned)
    with restored(pair, "0:1") as hybrid:
        outer = logits(hybrid)
        with restored(pair, "2:3"):
            both = logits(hybrid)
            with pytest.raises(KeyError), restored(pair, Recipe.soup(0.25, DEPTH)):
                raise KeyError
            assert torch.equal(logits(hybrid), both)
        assert torch.equal(logits(hybrid), outer)
    assert torch.equal(logits(pair.tuned), before)
    with restored(pair, Recipe.restore({0, 2}, DEPTH)) as hybrid:
        assert torch.equal(logits(hybrid), both)
    assert len({float(x.sum()) for x in (before, outer, both)}) == 3


def test_an_empty_recipe_does_not_load_base(pair_of: Callable[[str], Pair], monkeypatch: pytest.MonkeyPatch) -> None:
    pair = open_pair(pair_of("llama"))
    with restored(pair, Recipe.tuned(DEPTH)) as hybrid:
        assert hybrid is pair.tuned
    assert "base" not in vars(pair)


@pytest.mark.parametrize("family", ["llama_tied", "gemma2", "gpt2", "opt", "gemma3"], indirect=True)
def test_a_tied_head_follows_the_embedding(family: str, pair_of: Callable[[str], Pair]) -> None:
    pair = open_pair(pair_of(family))
    assert pair.tied
    recipe = Recipe(Recipe.tuned(DEPTH).blocks, embedding=0.0, head=0.0)
    with restored(pair, recipe) as hybrid:
        head, embedding = hybrid.get_output_embeddings().weight, hybrid.get_input_embeddings().weight
        assert head is embedding
        assert torch.equal(head, pair.base.get_input_embeddings().weight)
        assert not torch.equal(logits(hybrid), logits(load(pair_of(family).tuned)))
    for lopsided in (Recipe(recipe.blocks, embedding=0.0), Recipe(recipe.blocks, head=0.5)):
        with pytest.raises(RecipeError, match="the head is tied to the embedding"), restored(pair, lopsided):
            pass


def test_an_untied_head_is_its_own(llama: ModelPair) -> None:
    assert not llama.tied
    with restored(llama, Recipe(Recipe.tuned(DEPTH).blocks, head=0.0)) as hybrid:
        assert torch.equal(hybrid.lm_head.weight, llama.base.lm_head.weight)
        assert not torch.equal(hybrid.model.embed_tokens.weight, llama.base.model.embed_tokens.weight)


def test_checkpoints_of_different_dtype(pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    """Loaded as stored they cannot be swapped; in one dtype the hybrid is that on disk, which keeps tuned's."""
    base = pair_of("llama").base
    tuned = write_checkpoint(tmp_path / "tuned", "llama", seed=2, dtype=torch.bfloat16)
    with (
        pytest.raises(
            RecipeError, match=r"is torch.float32 on cpu in base and torch.bfloat16 on cpu in tuned; .*dtype="
        ),
        restored(ModelPair.load(base, tuned, device="cpu"), "1:3"),
    ):
        pass
    out = restore(base, tuned, "1:3", tmp_path / "out")
    assert {tensor.dtype for tensor in read_all(out).values()} == {torch.bfloat16}
    saved = load(out, torch.bfloat16).state_dict()
    with restored(ModelPair.load(base, tuned, device="cpu", dtype="bfloat16"), "1:3") as hybrid:
        assert all(torch.equal(tensor, saved[name]) for name, tensor in hybrid.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("share", [0.25, 0.3, 1 / 3, -0.5, 1.5])
def test_mixing_against_float64(dtype: torch.dtype, share: float) -> None:
    base, tuned = (torch.randn(200, generator=torch.Generator().manual_seed(i)).to(dtype) for i in (1, 2))
    used = round(share * 4096) / 4096
    assert grid(share) == used
    assert abs(used - share) <= 1 / 8192
    found = mix(base, tuned, share)
    expected = base.double() * (1 - used) + tuned.double() * used
    assert found.dtype == dtype
    if dtype in (torch.bfloat16, torch.float16):  # both products are exact in float32: at most one further rounding
        spacing = torch.finfo(dtype).eps * expected.abs().clamp_min(torch.finfo(dtype).tiny)
        assert ((found.double() - expected).abs() <= 0.5000001 * spacing).all()
    else:
        torch.testing.assert_close(found.double(), expected, rtol=2e-7, atol=2e-7)


def test_mixing_shares_zero_and_one_changes_no_bit() -> None:
    """Not even of a NaN, an infinity or a negative zero on the other side."""
    odd = torch.tensor([float("nan"), float("inf"), -0.0, 1e-45])
    plain = torch.tensor([1.0, 2.0, 3.0, 4.0])
    for share, expected in ((0.0, plain), (1.0, odd)):
        found = mix(plain, odd, share)
        assert torch.equal(found.view(torch.int32), expected.view(torch.int32))


@pytest.mark.parametrize(
    ("recipe", "error", "words"),
    [
        ("0:9", LayerRangeError, "out of bounds"),
        ("2:2", LayerRangeError, "empty"),
        ("1-3", LayerRangeError, "'1:3'"),
        (Recipe.tuned(7), RecipeError, "depth=4"),
        (3, RecipeError, "got int"),
        (
            Recipe.restore("0:1", DEPTH, only="qkv"),
            RecipeError,
            r"\['qkv'\], which this model does not have.*components",
        ),
        (Recipe.restore("0:1", DEPTH, only="other"), RecipeError, r"\['other'\], which this model does not have"),
    ],
)
def test_recipes_that_do_not_fit_are_refused(recipe: Any, error: type[Exception], words: str, llama: ModelPair) -> None:
    before = pointers(llama.tuned)
    with pytest.raises(error, match=words), restored(llama, recipe):
        pass
    assert pointers(llama.tuned) == before

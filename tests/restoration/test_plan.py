"""The identities that every hybrid of every architecture must satisfy, in memory and on disk (REFERENCE, section 6)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from slr_probe import ModelPair, Recipe, restore, restored, verify_hybrid
from slr_probe.checkpoint import Checkpoint
from slr_probe.errors import RecipeError
from slr_probe.pair.side import Side
from slr_probe.recipe import BlockWeight
from slr_probe.restoration.plan import plan_hybrid
from tests.architectures import block_in_file, blocks_of, kind_in_file, place
from tests.tiny import DEPTH, Pair, load, logits, read_all

EXACT = {"rtol": 0, "atol": 0}
LOGITS = {"rtol": 0, "atol": 1e-5}
FULL = Recipe.base(DEPTH)
BASE = Recipe.base(DEPTH, blocks_only=False)
TUNED = Recipe.tuned(DEPTH)
RECIPES = {
    "range": Recipe.restore("1:3", DEPTH),
    "set": Recipe.restore({0, 3}, DEPTH),
    "mlp only": Recipe.restore("0:3", DEPTH, only="mlp"),
    "soup": Recipe.soup(0.3, DEPTH),
    "ramp": Recipe.ramp(0.2, 0.9, DEPTH),
    "all parts": Recipe(
        (BlockWeight(0.5, (("attention", 0.0), ("norm", 1.0))), *TUNED.blocks[1:]),
        embedding=0.0,
        final_norm=0.5,
        head=0.0,
    ),
    "base": BASE,
}


@pytest.fixture(scope="module")
def opened(pair_of: Callable[[str], Pair]) -> Callable[[str], ModelPair]:
    """Each family's pair with its models, loaded once: every test must leave them as they were."""
    made: dict[str, ModelPair] = {}

    def get(family: str) -> ModelPair:
        if family not in made:
            made[family] = ModelPair.load(*pair_of(family).folders, device="cpu", dtype="float32")
        return made[family]

    return get


@pytest.fixture(scope="module")
def hybrid_of(
    pair_of: Callable[[str], Pair], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, Recipe], Path]:
    """Each family's hybrids on disk, written once."""
    made: dict[tuple[str, Recipe], Path] = {}

    def get(family: str, recipe: Recipe) -> Path:
        if (family, recipe) not in made:
            out = tmp_path_factory.mktemp("hybrids") / family
            made[family, recipe] = restore(*pair_of(family).folders, recipe, out)
        return made[family, recipe]

    return get


def state(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def wanted_share(name: str, family: str, recipe: Recipe) -> float:
    """Share of tuned of a tensor in a file, told by the hand-written tables alone."""
    block = block_in_file(name, family)
    if block is not None:
        group, component = kind_in_file(name, family).split(" ")
        return recipe.blocks[block].share(group, component)
    if "vision" in name or "visual" in name or "projector" in name:
        return 1.0
    if name.startswith(("lm_head", "embed_out")):
        return recipe.head
    return recipe.final_norm if place(family)[2] in name.split(".") else recipe.embedding


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_memory_and_disk_agree(
    recipe: Recipe, family: str, opened: Callable[[str], ModelPair], hybrid_of: Callable[[str, Recipe], Path]
) -> None:
    pair, out = opened(family), hybrid_of(family, recipe)
    before = logits(pair.tuned)
    saved = load(out)
    with restored(pair, recipe) as hybrid:
        assert hybrid is pair.tuned
        assert_same(state(hybrid), state(saved))
        found = logits(hybrid)
    torch.testing.assert_close(found, logits(saved), **LOGITS)
    assert not torch.equal(found, before)
    torch.testing.assert_close(logits(pair.tuned), before, **EXACT)
    report = verify_hybrid(out)
    assert report.ok, report


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_tensor_on_disk_is_what_the_formula_says(
    recipe: Recipe, family: str, pair_of: Callable[[str], Pair], hybrid_of: Callable[[str, Recipe], Path]
) -> None:
    shared = pair_of(family)
    base, tuned, hybrid = (read_all(folder) for folder in (*shared.folders, hybrid_of(family, recipe)))
    assert hybrid.keys() == tuned.keys()
    for name, tensor in hybrid.items():
        share = wanted_share(name, family, recipe)
        if share in (0.0, 1.0):
            assert torch.equal(tensor, (base if share == 0.0 else tuned)[name]), name
        else:
            share = round(share * 4096) / 4096  # the grid on which products are exact
            formula = base[name].double() * (1 - share) + tuned[name].double() * share
            torch.testing.assert_close(tensor, formula.float(), rtol=1e-6, atol=1e-7)
            assert not torch.equal(tensor, tuned[name]), name


def test_a_range_equals_a_naive_swap(
    family: str, opened: Callable[[str], ModelPair], pair_of: Callable[[str], Pair]
) -> None:
    """Against modules copied by hand from one transformers model into another."""
    shared = pair_of(family)
    naive, base = load(shared.tuned), load(shared.base)
    blocks = blocks_of(naive, family)
    for i in (1, 2):
        blocks[i] = copy.deepcopy(blocks_of(base, family)[i])
    with restored(opened(family), "1:3") as hybrid:
        assert_same(state(hybrid), state(naive))
        torch.testing.assert_close(logits(hybrid), logits(naive), **EXACT)


def test_an_empty_recipe_is_tuned(
    family: str, opened: Callable[[str], ModelPair], pair_of: Callable[[str], Pair], tmp_path: Path
) -> None:
    shared = pair_of(family)
    expected = load(shared.tuned)
    for recipe in (TUNED, Recipe.restore("2:2", DEPTH), Recipe.soup(1.0, DEPTH)):
        with restored(opened(family), recipe) as hybrid:
            assert_same(state(hybrid), state(expected))
            torch.testing.assert_close(logits(hybrid), logits(expected), **EXACT)
    out = restore(*shared.folders, TUNED, tmp_path / "out")
    for file in shared.tuned.glob("model*"):
        assert (out / file.name).read_bytes() == file.read_bytes()


def test_all_blocks_differ_from_base_only_outside_the_blocks(
    family: str, opened: Callable[[str], ModelPair], pair_of: Callable[[str], Pair]
) -> None:
    base, tuned = load(pair_of(family).base), load(pair_of(family).tuned)
    inside = {id(p) for p in blocks_of(base, family).parameters()}
    with restored(opened(family), FULL) as hybrid:
        found = state(hybrid)
    for name, parameter in base.named_parameters():
        source = parameter if id(parameter) in inside else tuned.get_parameter(name)
        assert torch.equal(found[name], source), name
        assert not torch.equal(parameter, tuned.get_parameter(name)), name


def test_the_base_recipe_is_base(
    family: str, opened: Callable[[str], ModelPair], pair_of: Callable[[str], Pair]
) -> None:
    """All of the language model; a vision tower stays tuned's, which text does not see."""
    base = load(pair_of(family).base)
    with restored(opened(family), BASE) as hybrid:
        torch.testing.assert_close(logits(hybrid), logits(base), **EXACT)
    with restored(opened(family), Recipe.soup(0.0, DEPTH)) as hybrid:
        torch.testing.assert_close(logits(hybrid), logits(base), **EXACT)


def test_a_hybrid_of_base_and_base_is_base(family: str, pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    folder = pair_of(family).base
    expected = read_all(folder)
    for i, recipe in enumerate((Recipe.restore("1:3", DEPTH), BASE, Recipe.soup(0.5, DEPTH))):
        assert_same(read_all(restore(folder, folder, recipe, tmp_path / str(i))), expected)
    pair = ModelPair.load(folder, folder, device="cpu")
    with restored(pair, "1:3") as hybrid:
        torch.testing.assert_close(logits(hybrid), logits(pair.base), **EXACT)
    shared = ModelPair.load(pair.base, pair.base)
    with restored(shared, BASE) as hybrid:
        assert hybrid is pair.base
        torch.testing.assert_close(logits(hybrid), logits(load(folder)), **EXACT)


@pytest.mark.parametrize("only", ["attention", "mlp", "norm"])
def test_one_group_of_one_block(
    only: str, family: str, opened: Callable[[str], ModelPair], pair_of: Callable[[str], Pair], tmp_path: Path
) -> None:
    shared = pair_of(family)
    recipe = Recipe.restore("1:2", DEPTH, only=only)
    base, tuned = read_all(shared.base), read_all(shared.tuned)
    out = restore(*shared.folders, recipe, tmp_path / "out")
    restored_names = set()
    for name, tensor in read_all(out).items():
        from_base = block_in_file(name, family) == 1 and kind_in_file(name, family).split(" ")[0] == only
        assert torch.equal(tensor, (base if from_base else tuned)[name]), name
        restored_names |= {name} if from_base else set()
    assert restored_names
    with restored(opened(family), recipe) as hybrid:
        assert_same(state(hybrid), state(load(out)))


def test_a_part_that_no_tensor_is_known_to_be_cannot_come_from_base(own_pair: Callable[..., Pair]) -> None:
    pair = own_pair()
    sides = []
    for role, folder in (("base", pair.base), ("tuned", pair.tuned)):
        checkpoint = Checkpoint.open(folder)
        renamed = {name.replace("lm_head", "readout"): info for name, info in checkpoint.tensors.items()}
        sides.append(Side(role, role, folder, replace(checkpoint, tensors=renamed)))
    assert plan_hybrid(*sides, Recipe.restore("1:3", DEPTH))
    with pytest.raises(RecipeError, match="changes the head, but none of the model's tensors is known to be it"):
        plan_hybrid(*sides, Recipe.soup(0.5, DEPTH))

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from slr_probe import LayerRange, Recipe
from slr_probe.errors import LayerRangeError, RecipeError, SlrProbeError
from slr_probe.recipe import BASE, GROUPS, TUNED, BlockWeight, as_recipe

B, T = BASE, TUNED
COMPONENTS = {"q": "attention", "o": "attention", "up": "mlp", "down": "mlp", "input_layernorm": "norm"}


def half(share: float = 0.5) -> BlockWeight:
    return BlockWeight(share)


@pytest.mark.parametrize(
    ("recipe", "blocks", "outside", "text"),
    [
        (Recipe.tuned(3), (T, T, T), (1, 1, 1), "tuned (3 blocks)"),
        (Recipe.base(3), (B, B, B), (1, 1, 1), "all blocks base of 3"),
        (Recipe.base(3, blocks_only=False), (B, B, B), (0, 0, 0), "base (3 blocks)"),
        (Recipe.restore("1:3", 4), (T, B, B, T), (1, 1, 1), "restore 1:3 of 4"),
        (Recipe.restore(LayerRange(1, 3), 4), (T, B, B, T), (1, 1, 1), "restore 1:3 of 4"),
        (Recipe.restore("2:2", 4), (T, T, T, T), (1, 1, 1), "tuned (4 blocks)"),
        (Recipe.restore("0:4", 4), (B, B, B, B), (1, 1, 1), "all blocks base of 4"),
        (Recipe.restore({3, 1}, 4), (T, B, T, B), (1, 1, 1), "restore {1, 3} of 4"),
        (Recipe.restore([1, 2], 4), (T, B, B, T), (1, 1, 1), "restore 1:3 of 4"),
        (Recipe.restore(np.array([0, 3]), 4), (B, T, T, B), (1, 1, 1), "restore {0, 3} of 4"),
        (Recipe.restore((), 2), (T, T), (1, 1, 1), "tuned (2 blocks)"),
        (Recipe.early(2, 5), (B, B, T, T, T), (1, 1, 1), "restore 0:2 of 5"),
        (Recipe.late(2, 5), (T, T, T, B, B), (1, 1, 1), "restore 3:5 of 5"),
        (Recipe.early(0, 2), (T, T), (1, 1, 1), "tuned (2 blocks)"),
        (Recipe.late(5, 5), (B,) * 5, (1, 1, 1), "all blocks base of 5"),
        (Recipe.soup(0.25, 2), (half(0.25),) * 2, (0.25,) * 3, "soup 0.25 of 2"),
        (Recipe.soup(0.25, 2, blocks_only=True), (half(0.25),) * 2, (1, 1, 1), "blocks 0.25 tuned of 2"),
        (Recipe.soup(1, 2), (T, T), (1, 1, 1), "tuned (2 blocks)"),
        (Recipe.soup(0, 2), (B, B), (0, 0, 0), "base (2 blocks)"),
        (Recipe.soup(np.float32(0.5), 2), (half(),) * 2, (0.5,) * 3, "soup 0.5 of 2"),
        (Recipe.ramp(0.25, 0.5, 3), (half(0.25), half(0.5), half(0.75)), (1, 1, 1), "ramp 0.25 to 0.75 of 3"),
        (Recipe.ramp(0, 1, 2), (B, T), (1, 1, 1), "restore 0:1 of 2"),
        (Recipe.ramp(0.5, 0.25, 1), (half(),), (1, 1, 1), "blocks 0.5 tuned of 1"),
        (
            Recipe.restore("1:2", 3, only="attention"),
            (T, BlockWeight(1.0, (("attention", 0.0),)), T),
            (1, 1, 1),
            "restore attention in 1:2 of 3",
        ),
        (
            Recipe.restore({0, 2}, 3, only=["q", "down"]),
            (BlockWeight(1.0, (("down", 0.0), ("q", 0.0))), T, BlockWeight(1.0, (("down", 0.0), ("q", 0.0)))),
            (1, 1, 1),
            "restore down+q in {0, 2} of 3",
        ),
        (Recipe((B, T), embedding=0, final_norm=0, head=0), (B, T), (0, 0, 0), "restore 0:1 of 2, outside base"),
        (
            Recipe((half(), T), 0),
            (half(), T),
            (0, 1, 1),
            "0:1 at 0.5 tuned, rest tuned, of 2, embedding 0, final norm 1, head 1 tuned",
        ),
        (Recipe((B, half(), T, half(0.2))), (B, half(), T, half(0.2)), (1, 1, 1), "mixed recipe of 4"),
        (Recipe((B, T), name="mine"), (B, T), (1, 1, 1), "mine"),
    ],
)
def test_every_constructor_means_what_it_says(recipe: Recipe, blocks: tuple, outside: tuple, text: str) -> None:
    assert recipe.blocks == blocks
    assert (recipe.embedding, recipe.final_norm, recipe.head) == outside
    assert str(recipe) == text
    assert repr(recipe) == f"<Recipe: {text}>"
    assert recipe.depth == len(blocks)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Recipe(()), RecipeError, "at least one block"),
        (lambda: Recipe(block for block in ()), RecipeError, "at least one block"),
        (lambda: Recipe((1.0,)), RecipeError, "BlockWeight, got float"),
        (lambda: Recipe((T,), embedding=float("nan")), RecipeError, "embedding.*nan"),
        (lambda: Recipe((T,), head=True), RecipeError, "head.*True"),
        (lambda: BlockWeight(float("inf")), RecipeError, "default.*inf"),
        (lambda: BlockWeight("0.5"), RecipeError, "default.*'0.5'"),
        (lambda: BlockWeight(1.0, (("q", None),)), RecipeError, "'q'.*None"),
        (lambda: Recipe.tuned(0), RecipeError, "depth.*0"),
        (lambda: Recipe.tuned("4"), RecipeError, "depth.*'4'"),
        (lambda: Recipe.base(True), RecipeError, "depth.*True"),
        (lambda: Recipe.restore("8-14", 20), LayerRangeError, "'8:14'"),
        (lambda: Recipe.restore("14:8", 20), LayerRangeError, "reversed"),
        (lambda: Recipe.restore("2:5", 4), LayerRangeError, "2:5 is out of bounds: the model has 4"),
        (lambda: Recipe.restore({1, 7, -1}, 4), RecipeError, r"blocks \[-1, 7\].* 4 decoder blocks, 0 to 3"),
        (lambda: Recipe.restore([1, "x"], 4), RecipeError, "'x'"),
        (lambda: Recipe.restore([0.5], 4), RecipeError, "0.5"),
        (lambda: Recipe.restore(3, 4), RecipeError, "got 3"),
        (lambda: Recipe.restore("0:1", 4, only=()), RecipeError, "restores nothing"),
        (lambda: Recipe.early(5, 4), LayerRangeError, "out of bounds"),
        (lambda: Recipe.late(5, 4), LayerRangeError, "out of bounds"),
        (lambda: Recipe.early(-1, 4), LayerRangeError, "-1"),
        (lambda: Recipe.late(-1, 4), LayerRangeError, "5:4"),
        (lambda: Recipe.soup(None, 4), RecipeError, "None"),
        (lambda: Recipe.ramp("0.1", 1, 4), RecipeError, "'0.1'"),
        (lambda: Recipe.ramp(0.1, float("nan"), 4), RecipeError, "nan"),
        (lambda: Recipe.tuned(3).check_depth(4), RecipeError, "3 decoder blocks but the model has 4"),
        (lambda: as_recipe("2:2", 4), LayerRangeError, "empty"),
        (lambda: as_recipe("2:9", 4), LayerRangeError, "out of bounds"),
        (lambda: as_recipe(Recipe.tuned(3), 4), RecipeError, "depth=4"),
        (lambda: as_recipe([1, 3], 4), RecipeError, "got list .1, 3.; Recipe.restore.blocks, depth. takes a set"),
        (lambda: as_recipe([1, 2, 3], 4), RecipeError, "got list .1, 2, 3..*'1:4'"),
        (lambda: as_recipe(range(1, 4), 4), RecipeError, "'1:4'"),
        (lambda: as_recipe(4, 4), RecipeError, "got int 4$"),
    ],
)
def test_bad_input_is_refused(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        make()
    assert isinstance(caught.value, SlrProbeError)


def test_as_recipe_reads_ranges_and_passes_recipes_through() -> None:
    soup = Recipe.soup(0.5, 4)
    assert as_recipe(soup, 4) is soup
    assert as_recipe("1:3", 4) == as_recipe(LayerRange(1, 3), 4) == Recipe.restore([1, 2], 4)


def test_equal_content_is_equal_and_hashes_alike() -> None:
    spellings = [
        Recipe.restore("1:3", 4),
        Recipe.restore(iter([2, 1, 1]), 4),
        Recipe((T, B, B, T), name="another label"),
        Recipe([T, BlockWeight(-0.0), BlockWeight(0, (("q", 0.0),)), T]),
        Recipe(block for block in (T, B, B, T)),
        Recipe.from_json(Recipe.restore("1:3", 4).to_json()),
    ]
    assert len(set(spellings)) == 1
    others = {Recipe.restore("1:3", 5), Recipe.restore("1:2", 4), Recipe((T, B, B, T), head=0.0), Recipe.soup(0.5, 4)}
    assert len({*others, *spellings}) == 5


@pytest.mark.parametrize("seed", range(40))
def test_canonical_overrides_keep_their_meaning(seed: int) -> None:
    """Against a naive lookup: component, else group, else default."""
    draw = random.Random(seed)
    names = [*GROUPS, *COMPONENTS]
    given = [(draw.choice(names), draw.choice([0.0, 0.5, 1.0])) for _ in range(draw.randint(0, 6))]
    default = draw.choice([0.0, 0.5, 1.0])
    block = BlockWeight(default, tuple(given))
    wanted = dict(given)
    for component, group in [*COMPONENTS.items(), ("gate", "mlp"), ("dt", "other")]:
        assert block.share(group, component) == wanted.get(component, wanted.get(group, default))
    assert block == BlockWeight(default, tuple(reversed(list(wanted.items()))))
    assert BlockWeight(block.default, block.overrides) == block
    assert block.is_tuned == (block == T)
    assert block.is_base == (block == B)


def test_the_share_of_a_tensor_follows_its_block_or_its_part_outside() -> None:
    recipe = Recipe((T, BlockWeight(1.0, (("attention", 0.25), ("q", 0.5)))), 0.1, 0.2, 0.3)
    assert [recipe.share(0, "attention", "q"), recipe.share(1, "attention", "q")] == [1.0, 0.5]
    assert [recipe.share(1, "attention", "k"), recipe.share(1, "mlp", "up")] == [0.25, 1.0]
    outside = [recipe.share(None, part) for part in ("embedding", "final_norm", "head", "other")]
    assert outside == [0.1, 0.2, 0.3, 1.0]


def test_reading_a_recipe() -> None:
    assert Recipe.restore({1, 3}, 5).restored_blocks == (1, 3)
    assert Recipe.restore("1:4", 5).layers == LayerRange("1:4")
    assert Recipe.base(3).layers == LayerRange("0:3")
    assert Recipe.tuned(3).is_tuned
    for not_a_range in (
        Recipe.tuned(3),
        Recipe.restore({0, 2}, 3),
        Recipe.soup(0.5, 3),
        Recipe.restore("0:2", 3, only="mlp"),
        Recipe.base(3, blocks_only=False),
    ):
        assert not_a_range.layers is None
    assert not Recipe((T, T), final_norm=0.5).is_tuned


def random_recipe(seed: int) -> Recipe:
    draw = random.Random(seed)

    def share() -> float:
        return draw.choice([0.0, 1.0, draw.random(), draw.uniform(-1, 2)])

    def block() -> BlockWeight:
        names = draw.sample([*GROUPS, *COMPONENTS], draw.randint(0, 3))
        return BlockWeight(share(), tuple((name, share()) for name in names))

    blocks = [block for block in (block() for _ in range(draw.randint(1, 6))) for _ in range(draw.randint(1, 3))]
    return Recipe(tuple(blocks), share(), share(), share(), name=draw.choice(["", "a name", 'q"uote\n']))


@pytest.mark.parametrize("seed", range(60))
def test_random_recipes_round_trip_through_json(seed: int) -> None:
    recipe = random_recipe(seed)
    text = recipe.to_json()
    again = Recipe.from_json(text)
    assert again == recipe
    assert hash(again) == hash(recipe)
    assert (again.name, again.to_json()) == (recipe.name, text)
    assert recipe.to_dict() == json.loads(text)


def test_the_json_form() -> None:
    recipe = Recipe((B, B, BlockWeight(1.0, (("q", 0.5),)), T), embedding=0.5)
    assert recipe.to_dict() == {
        "format": "slr_probe.recipe/1",
        "name": "mixed recipe of 4, embedding 0.5, final norm 1, head 1 tuned",
        "depth": 4,
        "blocks": [
            {"blocks": "0:2", "tuned_share": 0.0},
            {"blocks": "2:3", "tuned_share": 1.0, "overrides": {"q": 0.5}},
            {"blocks": "3:4", "tuned_share": 1.0},
        ],
        "embedding": 0.5,
        "final_norm": 1.0,
        "head": 1.0,
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "other/1"}, "other/1"),
        ({"depth": 5}, "3 decoder blocks but the model has 5"),
        ({"depth": 2}, "out of bounds"),
        ({"depth": None}, "depth"),
        ({"blocks": None}, "malformed"),
        ({"blocks": []}, "at least one block"),
        ({"blocks": ["0:3"]}, "malformed"),
        ({"blocks": [{"blocks": "0:3"}]}, "tuned_share"),
        ({"blocks": [{"blocks": "1:3", "tuned_share": 1}]}, "expected start 0, got 1:3"),
        ({"blocks": [{"blocks": "0-3", "tuned_share": 1}]}, "'0:3'"),
        ({"blocks": [{"blocks": "0:3", "tuned_share": "1"}]}, "finite number"),
        ({"blocks": [{"blocks": "0:3", "tuned_share": 1, "overrides": ["q"]}]}, "malformed"),
        ({"blocks": [{"blocks": "0:99", "tuned_share": 1}]}, "out of bounds"),
        ({"blocks": [{"blocks": "0:999999999999", "tuned_share": 1}]}, "cannot read layer range '0:999999999999'"),
        ({"head": None}, "head"),
    ],
)
def test_damaged_json_is_refused(change: dict, words: str) -> None:
    with pytest.raises((RecipeError, LayerRangeError), match=words):
        Recipe.from_dict({**Recipe.tuned(3).to_dict(), **change})


def test_json_that_is_no_recipe_is_refused() -> None:
    for text, words in [("{", "not JSON"), ("[1]", "list"), ("{}", "format"), ("3", "int")]:
        with pytest.raises(RecipeError, match=words):
            Recipe.from_json(text)
    incomplete = Recipe.tuned(3).to_dict()
    del incomplete["embedding"]
    with pytest.raises(RecipeError, match="embedding"):
        Recipe.from_dict(incomplete)


def test_a_recipe_is_immutable() -> None:
    with pytest.raises(AttributeError):
        Recipe.tuned(2).head = 0.0  # type: ignore[misc]


def test_numbers_that_no_model_has_cost_nothing() -> None:
    data = Recipe.restore("1:3", depth=4).to_dict()
    run = {"blocks": "0:1000000000", "tuned_share": 0.0}
    for change in (
        {"depth": 10**9, "blocks": [run]},
        {"depth": 10**9},
        {"embedding": 10**400},
        {"blocks": [{**run, "blocks": "0:4", "tuned_share": 10**400}]},
    ):
        with pytest.raises(SlrProbeError):
            Recipe.from_dict({**data, **change})
    with pytest.raises(RecipeError):
        Recipe.from_json("[" * 100_000)
    with pytest.raises(RecipeError):
        Recipe.from_json("1" * 5000)

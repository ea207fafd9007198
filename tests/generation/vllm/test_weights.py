"""What is loaded for a swap: whole units, no more than differs, with the bytes that `restore` writes."""

import itertools
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open

from slr_probe import ModelPair, Recipe, restore
from slr_probe.generation.vllm.weights import changed, in_short_steps, read_hybrid
from slr_probe.generation.vllm.worker import pack_tied_heads
from slr_probe.restoration.plan import plan_hybrid

DEPTH = 4
RECIPES = {
    "range": Recipe.restore("1:3", DEPTH),
    "set": Recipe.restore({0, 3}, DEPTH),
    "soup": Recipe.soup(0.3, DEPTH),
    "components": Recipe.restore("0:3", DEPTH, only=["q", "gate"]),
    "base": Recipe.base(DEPTH, blocks_only=False),
}


def plan_of(pair, recipe):
    return plan_hybrid(pair.base_side, pair.tuned_side, recipe)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3_text", "mixtral"])
def test_tensors_are_those_on_disk(pair_of, tmp_path, family, name):
    folders = pair_of(family).folders
    pair = ModelPair.load(*folders, device="cpu")
    restore(*folders, RECIPES[name], tmp_path / "hybrid", progress=False)
    stored = {}
    for file in (tmp_path / "hybrid").glob("*.safetensors"):
        with safe_open(file, "pt") as shard:
            stored |= {key: shard.get_tensor(key) for key in shard.keys()}
    names = changed(None, plan_of(pair, RECIPES[name]), pair.tuned_side)
    found = dict(read_hybrid(*map(str, folders), RECIPES[name].to_dict(), names))
    assert found.keys() == stored.keys()
    assert all(found[key].dtype == one.dtype and torch.equal(found[key], one) for key, one in stored.items())


def test_units_are_whole(pair_of):
    """A change of the queries loads all of a block's attention, and nothing of its MLP or of other blocks."""
    pair = ModelPair.load(*pair_of("llama").folders, device="cpu")
    before, after = plan_of(pair, Recipe.tuned(DEPTH)), plan_of(pair, Recipe.restore("1:2", DEPTH, only="q"))
    own = "model.layers.1.self_attn."
    assert set(changed(before, after, pair.tuned_side)) == {name for name in after if name.startswith(own)}
    assert changed(after, after, pair.tuned_side) == []
    assert set(changed(None, after, pair.tuned_side)) == set(after)


def test_blocks_come_in_order_and_unbroken(pair_of):
    pair = ModelPair.load(*pair_of("mixtral").folders, device="cpu")
    plans = [plan_of(pair, recipe) for recipe in (Recipe.tuned(DEPTH), Recipe.base(DEPTH))]
    blocks = [pair.tuned_side.addresses[name].block for name in changed(*plans, pair.tuned_side)]
    assert [block for block, _ in itertools.groupby(blocks)] == list(range(DEPTH))


def test_the_order_loads_little(pair_of):
    pair = ModelPair.load(*pair_of("llama").folders, device="cpu")
    recipes = [
        Recipe.restore(f"{start}:{stop}", DEPTH) for start in range(DEPTH) for stop in range(start + 1, DEPTH + 1)
    ]
    plans = [plan_of(pair, recipe) for recipe in (*recipes, Recipe.tuned(DEPTH))]
    tuned, infos = plans[-1], pair.tuned_side.checkpoint.tensors
    order = in_short_steps(plans, tuned, pair.tuned_side)
    assert sorted(order) == list(range(len(plans)))
    assert order[0] == len(plans) - 1  # nothing to load at all

    def loaded(order):
        steps = itertools.pairwise([tuned, *(plans[number] for number in order)])
        return sum(infos[name].nbytes for before, after in steps for name in changed(before, after, pair.tuned_side))

    block = loaded([0])  # the range of one block
    assert loaded(order) <= 1.2 * len(recipes) * block  # at best, each hybrid is one block away from the one before
    assert loaded(order) < 0.8 * loaded(range(len(plans)))


def test_a_head_tied_to_the_embedding_is_packed_anew():
    """Where a layout of its own is multiplied with, as on a CPU, it would be that of the old embedding."""
    packed = []

    class Head(torch.nn.Module):
        quant_method = SimpleNamespace(process_weights_after_loading=packed.append)

        def __init__(self, weight):
            super().__init__()
            self.weight = weight

        def tie_weights(self, embedding):
            return self

    for tied in (True, False):
        model = torch.nn.ModuleDict({"embed": torch.nn.Embedding(4, 2)})
        model["head"] = Head(model["embed"].weight if tied else torch.nn.Parameter(torch.zeros(4, 2)))
        pack_tied_heads(model)
        assert packed == ([model["head"]] if tied else [])
        packed.clear()

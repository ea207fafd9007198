"""Binary masks, recipes, overlap with chance, freeze lists."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slr_probe import Recipe
from slr_probe.block_weight import BASE, TUNED, BlockWeight
from slr_probe.errors import MaskError, ResultError
from slr_probe.probes.mask.result import LayerMask
from tests.tiny import make_model

PARTS = ("q", "o", "up")


def mask_of(values: Any, depth: int = 2, granularity: str = "matrix", changed: Any = None) -> LayerMask:
    """A mask from gammas [seed, unit], without a model."""
    values = np.atleast_2d(np.asarray(values, dtype=float))
    parts = PARTS if granularity == "matrix" else ("block",)
    units = [(block, part) for block in range(depth) for part in parts]
    assert values.shape[1] == len(units)
    return LayerMask(
        block=np.array([block for block, _ in units]),
        component=tuple(part for _, part in units),
        values=values,
        changed=np.ones(len(units), dtype=bool) if changed is None else np.asarray(changed),
        size=np.array([{"q": 10, "o": 10, "up": 30, "block": 50}[part] for _, part in units]),
        parameters=tuple((f"model.layers.{b}.{p}_proj.weight", f"model.layers.{b}.{p}_proj.bias") for b, p in units),
        loss=np.ones((len(values), 12)),
        depth=depth,
        granularity=granularity,
        seeds=tuple(range(len(values))),
        base_loss=2.0,
        tuned_loss=1.0,
    )


MASK = mask_of([0.9, 0.1, 0.4, 0.2, 0.3, 0.8])


def test_order_and_binary() -> None:
    assert MASK.order.tolist() == [0, 5, 2, 4, 3, 1]
    assert [MASK.names[i] for i in np.flatnonzero(MASK.binary(0.5))] == ["0.q", "0.up", "1.up"]
    assert MASK.binary(0.01).sum() == 1
    assert MASK.binary(1.0).all()
    for rate in (0, -0.1, 1.1, True):
        with pytest.raises(MaskError, match="a rate is"):
            MASK.binary(rate)
    rates = [MASK.binary(r).sum() for r in (0.1, 0.2, 0.3, 0.5, 0.75, 1.0)]
    assert rates == sorted(rates)


def test_blocks_weigh_by_size() -> None:
    np.testing.assert_allclose(MASK.blocks(), [(9 + 1 + 12) / 50, (2 + 3 + 24) / 50])


def test_recipe() -> None:
    assert Recipe.from_mask(MASK, keep=1.0) == Recipe.tuned(2)
    assert Recipe.from_mask(MASK, keep=0.0) == Recipe.base(2)
    half = Recipe.from_mask(MASK, keep=0.5)
    assert half.blocks == (BlockWeight(1.0, (("o", 0.0),)), BlockWeight(1.0, (("o", 0.0), ("q", 0.0))))
    assert half.blocks[0].share("norm", "input_layernorm") == 1.0
    lost = MASK.to_recipe(np.array([1, 1, 1, 0, 0, 0], dtype=bool))
    assert lost.blocks == (TUNED, BASE)  # its norms as well
    assert Recipe.from_json(half.to_json()) == half
    with pytest.raises(MaskError, match="keep is"):
        Recipe.from_mask(MASK, keep=1.5)
    blocks = mask_of([0.2, 0.9, 0.1, 0.8], depth=4, granularity="block")
    assert Recipe.from_mask(blocks, keep=0.5) == Recipe.restore({0, 2}, 4)


def test_overlap_against_all_permutations() -> None:
    """Chance is what enumeration of every other mask of the same size gives."""
    other = mask_of([0.9, 0.8, 0.1, 0.2, 0.3, 0.7])
    found = MASK.overlap(other, 0.5)
    one, two = ({i for i in np.flatnonzero(m.binary(0.5))} for m in (MASK, other))
    assert (found.count, found.common, found.units) == (3, 2, 6)
    assert found.jaccard == pytest.approx(len(one & two) / len(one | two))
    assert found.share == pytest.approx(2 / 3)
    all_sets = [set(chosen) for chosen in combinations(range(6), 3)]
    shares = np.array([len(one & chosen) / 3 for chosen in all_sets])
    jaccards = [len(one & chosen) / len(one | chosen) for chosen in all_sets]
    assert found.chance == pytest.approx(shares.mean())
    assert found.chance_jaccard == pytest.approx(np.mean(jaccards))
    assert found.p_value == pytest.approx((shares >= 2 / 3 - 1e-9).mean())
    assert (shares > found.chance_high + 1e-9).mean() <= 0.025


def test_overlap_counts_only_what_changed() -> None:
    changed = [True, True, True, False, False, False]
    one = mask_of([0.9, 0.1, 0.5, 0, 0, 0], changed=changed)
    other = mask_of([0.1, 0.9, 0.5, 0, 0, 0], changed=changed)
    found = one.overlap(other, 0.5)  # three of six: all that changed
    assert (found.units, found.count, found.common, found.p_value) == (3, 3, 3, 1.0)
    with pytest.raises(MaskError, match="other units"):
        MASK.overlap(mask_of([0.1] * 9, depth=3))


def test_seeds() -> None:
    mask = mask_of([[0.9, 0.1, 0.4, 0.2, 0.3, 0.8], [0.9, 0.8, 0.1, 0.2, 0.3, 0.7]])
    np.testing.assert_allclose(mask.gamma, mask.values.mean(axis=0))
    np.testing.assert_allclose(mask.stability(0.5), [2 / 4])
    assert mask.binary(0.5, seed=1).tolist() == [True, True, False, False, False, True]
    assert len(MASK.stability()) == 0
    with pytest.raises(MaskError, match="not learned with seed 7"):
        mask.binary(0.5, seed=7)
    assert "seeds 2" in repr(mask)


def test_table_and_file(tmp_path: Path) -> None:
    table = MASK.to_dataframe()
    assert table["rank"].tolist() == [1, 6, 3, 5, 4, 2]
    assert table.loc[0, "unit"] == "0.q"
    rows = MASK.rows()
    assert rows[5]["values"] == [0.8]
    assert rows[5]["parameters"] == MASK.parameters[5]
    again = LayerMask.load(MASK.save(tmp_path / "mask"))
    assert again.rows() == rows
    assert again.parameters == MASK.parameters
    np.testing.assert_array_equal(again.loss, MASK.loss)
    (tmp_path / "mask.npz").write_bytes(b"no")
    with pytest.raises(ResultError):
        LayerMask.load(tmp_path / "mask.npz")


@pytest.mark.parametrize("granularity", ["matrix", "block"])
def test_figure(granularity: str) -> None:
    mask = MASK if granularity == "matrix" else mask_of([0.1, 0.8], granularity="block", changed=[True, False])
    heat, loss = mask.plot().axes[:2]
    cells = heat.images[0].get_array()
    if granularity == "matrix":
        assert [label.get_text() for label in heat.get_yticklabels()] == list(PARTS)
        np.testing.assert_allclose(cells, mask.gamma.reshape(2, 3).T)
    else:
        assert np.isnan(np.ma.filled(cells, np.nan))[0].tolist() == [False, True]  # equal in base and tuned
    assert len(loss.lines) == 4


def test_freeze_list_is_what_peft_takes() -> None:
    from peft import LoraConfig, get_peft_model

    model = make_model("llama", 1)
    names = [n for n, _ in model.named_parameters() if n.endswith("proj.weight")]
    block = np.array([int(n.split(".")[2]) for n in names])
    gamma = np.random.default_rng(0).permutation(len(names)) / len(names) + 0.01
    gamma[block == 1] = 0.001  # all of block 1 is unimportant
    mask = LayerMask(
        block=block,
        component=tuple(n.split(".")[4] for n in names),
        values=gamma[None],
        changed=np.ones(len(names), dtype=bool),
        size=np.ones(len(names), dtype=int),
        parameters=tuple((n,) for n in names),
        loss=np.ones((1, 3)),
        depth=4,
        granularity="matrix",
        seeds=(0,),
        base_loss=1.0,
        tuned_loss=0.5,
    )
    frozen = mask.freeze_list(0.5)
    assert len(frozen.parameters) == len(names) // 2
    assert set(frozen.parameters) <= dict(model.named_parameters()).keys()
    assert frozen.layers_to_transform == (0, 2, 3)
    modules, blocks = list(frozen.target_modules), list(frozen.layers_to_transform)
    tuned = get_peft_model(model, LoraConfig(r=2, target_modules=modules, layers_to_transform=blocks))
    trained = [n for n, p in tuned.named_parameters() if p.requires_grad]
    adapted = {n.removeprefix("base_model.model.").split(".lora_")[0] for n in trained}
    kept = {n.removesuffix(".weight") for n in names if n not in frozen.parameters}
    assert adapted == kept == set(frozen.target_modules)
    with pytest.raises(MaskError, match="share to freeze"):
        mask.freeze_list(1.0)
    blocks = mask_of([0.2, 0.9, 0.1, 0.8], depth=4, granularity="block").freeze_list(0.25)
    assert (blocks.layers_to_transform, blocks.target_modules) == ((0, 1, 3), ())
    assert blocks.parameters == ("model.layers.2.block_proj.weight", "model.layers.2.block_proj.bias")

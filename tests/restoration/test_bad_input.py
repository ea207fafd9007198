"""Bad input gives a clear error and leaves nothing behind; the sources are never touched."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from slr_probe import Recipe, SlrProbeError, restore, verify_hybrid
from slr_probe.errors import CheckpointError, IncompatiblePairError, LayerRangeError, RecipeError
from tests.tiny import DEPTH, Pair, load, read_all, rewrite_tensor, snapshot, write_checkpoint

NORM = "model.layers.2.input_layernorm.weight"
HEAD = "lm_head.weight"


def no_damage(pair: Pair) -> None:
    pass


def put_nan(side: str, name: str, value: float = float("nan")) -> Callable[[Pair], None]:
    def damage(pair: Pair) -> None:
        def spoil(tensor: torch.Tensor) -> torch.Tensor:
            tensor.view(-1)[-1] = value
            return tensor

        rewrite_tensor(getattr(pair, side), name, spoil)

    return damage


def another_model(family: str, **changes: Any) -> Callable[[Pair], None]:
    def damage(pair: Pair) -> None:
        shutil.rmtree(pair.base)
        write_checkpoint(pair.base, family, seed=1, **changes)

    return damage


def pickle_base(pair: Pair) -> None:
    (pair.base / "model.safetensors.index.json").unlink()
    for file in pair.base.glob("*.safetensors"):
        file.rename(file.with_suffix(".bin"))


def remove_base(pair: Pair) -> None:
    shutil.rmtree(pair.base)


CASES: dict[str, tuple[Callable[[Pair], None], Any, type[SlrProbeError], str]] = {
    "reversed range": (no_damage, "3:1", LayerRangeError, "reversed"),
    "empty range": (no_damage, "2:2", LayerRangeError, "empty"),
    "range out of bounds": (no_damage, "0:5", LayerRangeError, "has 4 decoder blocks"),
    "range with a dash": (no_damage, "1-3", LayerRangeError, "'1:3'"),
    "recipe for another depth": (no_damage, Recipe.tuned(5), RecipeError, "depth=4"),
    "unknown component": (no_damage, Recipe.restore("0:1", DEPTH, only="qkv"), RecipeError, "qkv"),
    "NaN in a restored tensor": (put_nan("base", NORM), "2:3", CheckpointError, f"base: tensor '{NORM}'"),
    "NaN in a touched shard": (put_nan("tuned", NORM), "0:2", CheckpointError, f"tuned: tensor '{NORM}'"),
    "NaN in an untouched shard": (put_nan("tuned", HEAD), "0:1", CheckpointError, f"tuned: tensor '{HEAD}'"),
    "infinity": (put_nan("tuned", HEAD, float("-inf")), "0:1", CheckpointError, f"tuned: tensor '{HEAD}'"),
    "NaN in a soup": (
        put_nan("base", NORM),
        Recipe.soup(0.5, DEPTH),
        CheckpointError,
        f"base or tuned: tensor '{NORM}'",
    ),
    "another architecture": (another_model("gpt2"), "0:1", IncompatiblePairError, "base 'gpt2', tuned 'llama'"),
    "another depth": (
        another_model("llama", num_hidden_layers=3),
        "0:1",
        IncompatiblePairError,
        "num_hidden_layers: base 3, tuned 4",
    ),
    "a pickle": (pickle_base, "0:1", CheckpointError, "pickled weights"),
    "no such base": (remove_base, "0:1", CheckpointError, "does not exist"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("untouched", ["copy", "hardlink"])
def test_bad_input_is_named_and_leaves_nothing(
    case: str, untouched: Any, own_pair: Callable[..., Pair], tmp_path: Path
) -> None:
    damage, recipe, error, words = CASES[case]
    pair = own_pair()
    damage(pair)
    before = snapshot(tmp_path)
    with pytest.raises(error, match=words):
        restore(*pair.folders, recipe, tmp_path / "new" / "parent" / "out", untouched=untouched)
    assert snapshot(tmp_path) == before
    assert not (tmp_path / "new").exists()


def test_nan_that_does_not_enter_the_hybrid_is_no_concern(own_pair: Callable[..., Pair], tmp_path: Path) -> None:
    pair = own_pair()
    put_nan("base", NORM)(pair)
    assert verify_hybrid(restore(*pair.folders, "0:1", tmp_path / "out")).ok
    put_nan("tuned", NORM)(pair)
    unchecked = restore(*pair.folders, "2:3", tmp_path / "unchecked", check_finite=False)
    assert read_all(unchecked)[NORM].isnan().any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_every_float_dtype_is_checked(dtype: torch.dtype, value: float, tmp_path: Path) -> None:
    base, tuned = (
        write_checkpoint(tmp_path / s, "llama_tied", i, dtype=dtype) for i, s in enumerate(("base", "tuned"))
    )
    rewrite_tensor(tuned, NORM, lambda tensor: torch.full_like(tensor, torch.finfo(dtype).max))
    assert restore(base, tuned, "0:1", tmp_path / "largest")
    rewrite_tensor(tuned, NORM, lambda tensor: torch.where(torch.arange(len(tensor)) == 17, value, tensor).to(dtype))
    with pytest.raises(CheckpointError, match=f"tuned: tensor '{NORM}' has NaN or infinite weights"):
        restore(base, tuned, "0:1", tmp_path / "out")


@pytest.mark.parametrize("side", ["base", "tuned"])
@pytest.mark.parametrize("keep", [0, 4, 100, 2000, -1])
def test_a_truncated_source_is_named(side: str, keep: int, own_pair: Callable[..., Pair], tmp_path: Path) -> None:
    pair = own_pair()
    shard = sorted(getattr(pair, side).glob("*.safetensors"))[-1]
    shard.write_bytes(shard.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=shard.name):
        restore(*pair.folders, "0:1", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_loaded_models_cannot_be_restored_on_disk(pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    pair = pair_of("llama")
    with pytest.raises(SlrProbeError, match=r"base was given as a loaded model .*save_pretrained"):
        restore(load(pair.base), pair.tuned, "0:1", tmp_path / "out")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []

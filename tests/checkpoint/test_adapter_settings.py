from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from slr_probe import ModelPair
from slr_probe.checkpoint.adapter_settings import AdapterSettings
from slr_probe.errors import CheckpointError
from tests.checkpoint.test_adapter import CONFIG, train_adapter
from tests.tiny import Pair, edit_json

SLOW = r"(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)\d\1"


@pytest.mark.parametrize(
    "change",
    [
        {"rank_pattern": {"(a+)+b|(model|layers|self|attn|.)*_": 4}},
        {"rank_pattern": {r"([\w.]+)+!": 4}},
        {"alpha_pattern": {SLOW: 4}},
        {"alpha_pattern": {"(": 4}},
        {"alpha_pattern": {"(a{1000}){1000}": 4}},
        {"alpha_pattern": {"a" * 10_000: 4}},
        {"alpha_pattern": {"(" * 900 + ")" * 900: 4}},
        {"alpha_pattern": {f"x{i}": 4 for i in range(5000)}},
        {"alpha_pattern": [1]},
        {"rank_pattern": {"q_proj": "4"}},
        {"r": "4"},
        {"r": [4]},
        {"r": True},
        {"lora_alpha": None},
        {"lora_alpha": 10**400},
        {"lora_alpha": math.nan},
        {"target_modules": r"([\w.]+)+!"},
        {"peft_type": ["LORA"]},
        {"init_lora_weights": {}},
    ],
    ids=lambda change: str(change)[:40],
)
def test_settings_of_any_kind_are_one_error_and_soon(
    change: dict[str, Any], pair_of: Callable[[str], Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slr_probe.checkpoint.adapter_settings._SECONDS", 0.3)
    base = pair_of("llama").base
    train_adapter(base, tmp_path / "adapter")
    edit_json(tmp_path / "adapter" / CONFIG, **change)
    begun = time.monotonic()
    with suppress(CheckpointError):  # a pattern that does not match in the end is none
        ModelPair.load(base, tmp_path / "adapter")
    assert time.monotonic() - begun < 5


def test_a_pattern_that_never_ends_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slr_probe.checkpoint.adapter_settings._SECONDS", 0.3)
    settings = AdapterSettings(tmp_path, {"rank_pattern": {r"(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)\d\1": 4}})
    with pytest.raises(CheckpointError, match="patterns take more than"):
        settings.scaling("model.layers.0.self_attn.q_proj", 4)


def test_targets_are_those_of_peft() -> None:
    modules = [f"model.layers.{i}.{name}" for i in range(3) for name in ("self_attn.q_proj", "mlp.up_proj", "xq_proj")]

    def targets(**config: Any) -> list[str]:
        return AdapterSettings(Path(), config).targets(modules)

    assert targets(target_modules=["q_proj"]) == [name for name in modules if name.endswith(".q_proj")]
    assert targets(target_modules=["q_proj"], layers_to_transform=1) == ["model.layers.1.self_attn.q_proj"]
    assert targets(target_modules=r".*\.(0|2)\.mlp\.up_proj") == [
        "model.layers.0.mlp.up_proj",
        "model.layers.2.mlp.up_proj",
    ]
    assert targets(target_modules=["q_proj", "up_proj"], exclude_modules=["up_proj"], layers_to_transform=[2]) == [
        "model.layers.2.self_attn.q_proj"
    ]
    for silent in (None, "all-linear", 3, [4]):
        assert targets(target_modules=silent) == []

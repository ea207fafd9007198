from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from slr_probe import ModelPair
from slr_probe.errors import CheckpointError, SlrProbeError
from tests.tiny import Pair, edit_json


@pytest.mark.parametrize(
    "change",
    [
        {"num_hidden_layers": 10**9},
        {"vision_config": {"depth": 10**9}},
        {"text_config": {"num_experts": 10**9}},
        {"vocab_size": 10**15},
        {"max_position_embeddings": -(10**18)},
    ],
    ids=str,
)
def test_numbers_that_no_model_has_are_refused_before_transformers_sees_them(
    change: dict[str, Any], own_pair: Callable[..., Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = own_pair()
    edit_json(pair.tuned / "config.json", **change)
    monkeypatch.setattr("slr_probe.pair.side._config", lambda *_: pytest.fail("transformers was asked"))
    with pytest.raises(CheckpointError, match="which no model has"):
        ModelPair.load(*pair.folders)


@pytest.mark.parametrize("depth", [0, -4, "4", 4.5, None, True, [4]])
def test_a_depth_of_another_kind_is_one_error(depth: Any, own_pair: Callable[..., Pair]) -> None:
    pair = own_pair()
    for folder in pair.folders:
        edit_json(folder / "config.json", num_hidden_layers=depth)
    with pytest.raises(SlrProbeError):
        ModelPair.load(*pair.folders)

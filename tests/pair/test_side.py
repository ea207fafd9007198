from __future__ import annotations

from collections.abc import Callable

from slr_probe import ModelPair
from slr_probe.pair.side import fingerprint
from tests.tiny import Pair


def test_a_loaded_model_counts_with_its_config(pair_of: Callable[[str], Pair]) -> None:
    pair = ModelPair.load(*pair_of("llama").folders)
    loaded = ModelPair.load(pair.base, pair.tuned, tokenizer=pair.tokenizer)
    first = fingerprint(loaded.tuned_side)
    pair.tuned.config.name_or_path = "elsewhere"
    assert fingerprint(loaded.tuned_side) == first
    pair.tuned.config.rms_norm_eps = 0.5
    assert fingerprint(loaded.tuned_side) != first

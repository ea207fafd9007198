from __future__ import annotations

from collections.abc import Callable

from slr_probe import ModelPair
from slr_probe.checkpoint import Checkpoint
from slr_probe.pair.side import fingerprint, recorded
from slr_probe.restoration.disk import origin
from slr_probe.study.provenance import describe_pair
from tests.tiny import Pair


def test_a_loaded_model_counts_with_its_config(pair_of: Callable[[str], Pair]) -> None:
    pair = ModelPair.load(*pair_of("llama").folders)
    loaded = ModelPair.load(pair.base, pair.tuned, tokenizer=pair.tokenizer)
    first = fingerprint(loaded.tuned_side)
    pair.tuned.config.name_or_path = "elsewhere"
    assert fingerprint(loaded.tuned_side) == first
    pair.tuned.config.rms_norm_eps = 0.5
    assert fingerprint(loaded.tuned_side) != first


def test_one_checkpoint_has_one_fingerprint_in_every_record(pair_of: Callable[[str], Pair]) -> None:
    """A hybrid's recipe, a study's run.json and the settings of a validation name the same weights alike."""
    folder = pair_of("llama").base
    pair = ModelPair.load(*pair_of("llama").folders)
    side, study = pair.base_side, describe_pair(pair)["base"]
    prints = {record["fingerprint"] for record in (origin(side), study, recorded(side))}
    assert prints == {Checkpoint.open(folder).fingerprint()}

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from slr_probe import CRCTask, ModelPair, logit_lens, patch_activations, restore, verify_hybrid, weight_delta
from slr_probe.errors import IncompatiblePairError, PromptError
from slr_probe.pair.vocabulary import different_rows, require_rows
from slr_probe.study.stage import Skipped
from slr_probe.study.stages import probes
from tests.tiny import Pair, load, write_checkpoint


@pytest.fixture
def uneven(pair_of: Callable[[str], Pair], tmp_path: Path) -> ModelPair:
    tuned = write_checkpoint(tmp_path / "tuned", "llama", seed=2, vocab_size=136)
    return ModelPair.load(pair_of("llama").base, tuned, device="cpu")


def test_the_difference_is_known_before_a_weight_is_read(uneven: ModelPair, pair_of: Callable[[str], Pair]) -> None:
    assert different_rows(uneven.base_side, uneven.tuned_side) == (128, 136)
    assert different_rows(uneven.base_side, uneven.base_side) is None
    assert "base" not in vars(uneven)


@pytest.mark.parametrize("measure", [logit_lens, patch_activations])
def test_what_compares_over_one_vocabulary_says_so(measure: Any, uneven: ModelPair) -> None:
    with pytest.raises(IncompatiblePairError, match=r"128 tokens and tuned of 136.*resize_token_embeddings\(136\)"):
        measure(uneven, CRCTask.default().selection)


@pytest.mark.parametrize("stage", [probes.lens, probes.patching])
def test_a_study_leaves_them_out_and_goes_on(stage: Any, uneven: ModelPair, tmp_path: Path) -> None:
    with pytest.raises(Skipped, match="128 tokens and tuned of 136"):
        stage(SimpleNamespace(pair=uneven), tmp_path)


def test_weights_are_compared_and_restored_all_the_same(uneven: ModelPair, tmp_path: Path) -> None:
    assert len(weight_delta(uneven).to_dataframe())
    assert uneven.base_side.path is not None
    assert uneven.tuned_side.path is not None
    assert verify_hybrid(restore(uneven.base_side.path, uneven.tuned_side.path, "1:3", tmp_path / "out")).ok


def test_a_token_without_a_row_is_named(pair_of: Callable[[str], Pair]) -> None:
    model = load(pair_of("llama").base)
    require_rows(model, torch.tensor([[0, 127]]))
    with pytest.raises(PromptError, match="holds token 130"):
        require_rows(model, torch.tensor([[0, 130]]))

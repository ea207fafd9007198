"""Lens and patching on the embedded pair and, where `SLR_PROBE_PAIR` names one, on a real pair."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slr_probe.pair import ModelPair
from slr_probe.probes.lens.lens import logit_lens
from slr_probe.probes.patching.patch import patch_activations
from tests.probes.lens.reference import lens_logits, patched_logits

ORGANISM = Path(__file__).parents[3] / "slr_probe" / "organism" / "checkpoints"
PROMPTS = ["Pick a letter from A to Z.", "Name a colour."]
REAL = os.environ.get("SLR_PROBE_PAIR")
EMBEDDED = (ORGANISM / "dpo" / "model.safetensors").exists()
no_embedded = pytest.mark.skipif(not EMBEDDED, reason="no embedded checkpoints in this tree")
no_real = pytest.mark.skipif(REAL is None, reason="set SLR_PROBE_PAIR")
PAIRS = [
    pytest.param("organism:base", "organism:dpo", marks=no_embedded),
    pytest.param(f"{REAL}/base", f"{REAL}/tuned", marks=no_real),
]


@pytest.mark.parametrize(("base", "tuned"), PAIRS)
def test_lens_and_patching_equal_the_hand_written_ones(base: str, tuned: str) -> None:
    pair = ModelPair.load(base, tuned, dtype="float32", device="cpu")
    family: Any = pair.config.model_type
    trace = logit_lens(pair, PROMPTS, batch_size=1)
    together = logit_lens(pair, PROMPTS)  # Gemma 3 in float32 carries the rounding of other matrix shapes up to 2e-4
    np.testing.assert_allclose(together.entropy, trace.entropy, atol=5e-4)
    block = pair.depth // 2
    logits = {"a": lambda x: x[100], "b": lambda x: x[321]}
    patched = patch_activations(pair, PROMPTS, blocks=[block], metric=logits, controls=False)
    for i, prompt in enumerate(PROMPTS):
        ids = pair.render(prompt)
        for m, model in enumerate((pair.base, pair.tuned)):
            log_p = lens_logits(family, model, ids).double().log_softmax(-1)
            np.testing.assert_allclose(trace.entropy[m, :, i], -(log_p.exp() * log_p).sum(-1), atol=1e-4)
        for c, component in enumerate(patched.components):
            expected = patched_logits(family, pair.base, pair.tuned, ids, component, [block], "answer")
            np.testing.assert_allclose(patched.patched[1:, 0, c, 0, i], expected[[100, 321]], rtol=1e-3, atol=1e-3)
    assert np.isfinite(trace.collapse().estimate).all()

"""A baseline above a hybrid in diversity, and not below it in quality, is named before what the hybrid brings."""

import numpy as np
import pytest

from slr_probe.show.words.ahead import ahead_in_text, beaten
from slr_probe.show.words.plain import brings_and_costs
from tests.validation.conftest import report_of

__all__ = ["report_of"]

TUNED, HYBRID = (0.2, 0.9), (0.5, 0.8)


def report(report_of, diversity, quality):
    """Sixteen prompts on which tuned, a hybrid and a soup have these means."""
    noise = np.random.default_rng(0).normal(0, 0.01, 16)
    noise -= noise.mean()
    models = {"tuned": TUNED, "hybrid": HYBRID, "soup 0.3": (diversity, quality)}
    scores = {
        name: {model: pair[at] + (noise if model == "hybrid" else 0 * noise) for model, pair in models.items()}
        for at, name in enumerate(("ead", "follows"))
    }
    return report_of(scores, kinds=("tuned", "hybrid", "soup"))


@pytest.mark.parametrize(
    ("diversity", "quality", "named"), [(0.6, 0.85, True), (0.6, 0.8, True), (0.6, 0.7, False), (0.4, 0.9, False)]
)
def test_who_is_ahead_is_named_first(report_of, diversity, quality, named):
    found = report(report_of, diversity, quality)
    assert ahead_in_text(found, "hybrid") == [("writing", "soup 0.3")] * named
    said = brings_and_costs(found)
    first = "more diverse than the hybrid by the means, and not worse: soup 0.3 on writing"
    assert said.startswith(f"In generated text (16 prompts a task) {first};") == named
    assert "the hybrid is more diverse on writing" in said
    assert any("soup 0.3 (0.6" in line for line in beaten(found)) == named
    assert all(line in repr(found) for line in beaten(found))

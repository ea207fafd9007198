"""One text of every kind of result, as it is printed; other tests look at states and fields.

`python -m tests.show.test_text` keeps the texts anew after a change of words that is meant.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from slr_probe import Recipe, compare, lineage_from_scores
from slr_probe.probes.activations.result import ActivationComparison
from slr_probe.probes.lens.result import LayerTrace
from slr_probe.probes.patching.result import PatchingResult
from slr_probe.probes.weights.result import WeightDelta
from slr_probe.rank.ranking import RangeRanking
from slr_probe.sweep import SweepResult
from slr_probe.validation import ValidationReport
from tests.golden.study import GOLDEN, text_differences
from tests.lineage.stages import STAGES
from tests.lineage.test_scores import PAPER
from tests.probes.mask.test_result import MASK
from tests.show.pairs import some_pairs

TEXTS = Path(__file__).parent / "texts"


def _comparison():
    spread = np.linspace(0.1, 0.9, 2 * 3 * 4).reshape(2, 3, 4)
    points, blocks, prompts = ("resid", "mlp"), np.arange(3), np.arange(4)
    return ActivationComparison("base", "tuned", points, blocks, prompts, spread, 1 - spread, spread.mean(2))


def _sweep():
    recipes = (Recipe.tuned(3), Recipe.restore("1:2", 3))
    logprobs = np.log(np.array([[[0.9, 0.05], [0.8, 0.1]], [[0.5, 0.4], [0.4, 0.3]]], dtype=np.float32))
    tokens, invalid = np.full((2, 2, 1), 7), np.log(np.full((2, 2, 1), 0.01, dtype=np.float32))
    return SweepResult(logprobs, np.array([2, 2]), tokens, invalid, tuple(recipe.to_dict() for recipe in recipes))


RESULTS = {
    "activations": _comparison,
    "comparison": lambda: compare([outputs for _, outputs in STAGES]),
    "lens": lambda: LayerTrace.load(GOLDEN / "lens/lens.npz"),
    "lineage": lambda: lineage_from_scores(PAPER),
    "mask": lambda: MASK,
    "patching": lambda: PatchingResult.load(GOLDEN / "patching/patching.npz"),
    "pairs": some_pairs,
    "ranking": lambda: RangeRanking.load(GOLDEN / "rank/ranking.npz"),
    "sweep": _sweep,
    "validation": lambda: ValidationReport.load(GOLDEN / "validate/report.npz"),
    "weights": lambda: WeightDelta.load(GOLDEN / "delta/weight_delta.npz"),
}


@pytest.mark.parametrize("name", RESULTS)
def test_text(name):
    kept = (TEXTS / f"{name}.txt").read_text(encoding="utf-8")
    assert not text_differences(f"{RESULTS[name]()}\n", kept, name)


@pytest.mark.parametrize("name", RESULTS)
def test_jupyter_shows_it(name):
    html = RESULTS[name]()._repr_html_()
    assert html.startswith("<")
    assert not re.search(r"\bnan\b", html, re.IGNORECASE)


if __name__ == "__main__":
    TEXTS.mkdir(exist_ok=True)
    for name, make in RESULTS.items():
        (TEXTS / f"{name}.txt").write_text(f"{make()}\n", encoding="utf-8")

import numpy as np
import pytest

from slr_probe.generation import Outputs
from slr_probe.scoring.metrics import ordered, primary_metrics
from slr_probe.tasks.text import Item, TextTask
from slr_probe.validation.result import ValidationReport


def outputs_of(texts, *, model="tuned", task=None):
    """Outputs from a list of lists of texts, for the items of a task or for prompts p0, p1, ..."""
    ids = tuple(item.id for item in task.items) if task else tuple(f"p{i}" for i in range(len(texts)))
    prompts = tuple(item.prompt for item in task.items) if task else ids
    return Outputs(model, ids, prompts, tuple(map(tuple, texts)), tuple((True,) * len(row) for row in texts))


@pytest.fixture(scope="session")
def qa():
    """Two open questions with several accepted answers."""
    return TextTask(
        "qa",
        "qa",
        (
            Item("planet", "Name a planet.", answers=(("Mars",), ("Venus",), ("Earth",)), check="list"),
            Item("colour", "Name a colour.", answers=(("red",), ("blue",)), check="list"),
        ),
        max_tokens=8,
        samples=4,
        source="test",
    )


@pytest.fixture
def report_of():
    """`report_of({"ead": {"tuned": [...], "hybrid": [...]}})`: a report of one task from scores."""

    def make(scores, *, kinds=None, primary=("ead", "follows"), crc=None, **fields):
        names = ordered(scores)
        models = tuple(next(iter(scores.values())))
        rows = np.array([[scores[name][model] for name in names] for model in models], dtype=float)
        n = rows.shape[-1]
        crc = crc or {}
        return ValidationReport(
            tasks=("writing",),
            models=models,
            kinds=tuple(kinds or ("tuned" if m == "tuned" else "hybrid" for m in models)),
            curve_labels=("",) * len(models),
            metrics=names,
            values=rows[None],
            prompt_ids=(tuple(f"p{i}" for i in range(n)),),
            categories=(("",) * n,),
            primary=(primary,),
            samples=(8,),
            curve_at=np.array([1, 8]),
            curves=np.full((1, len(models), 2, n), np.nan),
            crc_models=tuple(crc),
            crc_diversity=np.array([v[0] for v in crc.values()]) if crc else np.zeros((0, 0)),
            crc_validity=np.array([v[1] for v in crc.values()]) if crc else np.zeros((0, 0)),
            **fields,
        )

    return make


__all__ = ["outputs_of", "primary_metrics"]

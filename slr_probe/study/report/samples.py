"""Samples of text side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slr_probe.study.folder import Findings

_LONGEST, _LINES = 700, 12  # characters and lines of a sample that are shown


@dataclass(frozen=True)
class ShownSample:
    """A sample as far as there is room for it, and the number of the first sample that is the same (0 for none)."""

    text: str
    same_as: int


def side_by_side(found: Findings, prompts: int, samples: int) -> list[dict[str, Any]]:
    """Samples of base, tuned and hybrid on some prompts of each task: the first ones, as they were drawn.

    Args:
        found: The study.
        prompts: Prompts a task, at equal distances.
        samples: Samples a model and prompt.
    """
    report = found.validation
    if report is None:
        return []
    return [shown for task in report.tasks for shown in _of_task(found, task, report.hybrids[:1], prompts, samples)]


def _of_task(
    found: Findings, task: str, hybrids: tuple[str, ...], prompts: int, samples: int
) -> Iterator[dict[str, Any]]:
    outputs = _outputs(found, task)
    named = [("base", "base (plain)" if "base (plain)" in outputs else "base"), ("tuned", "tuned")]
    named += [("hybrid", name) for name in hybrids]
    there = [(style, outputs[name]) for style, name in named if name in outputs]
    if not there:
        return
    last = there[-1][1]
    count = min(prompts, len(last.ids))
    for i in range(count):
        at = int((i + 0.5) * len(last.ids) / count)
        models = [
            {"style": style, "name": one.model, "samples": _samples(one, last.ids[at], samples)}
            for style, one in there
            if last.ids[at] in one.ids
        ]
        yield {"task": task, "prompt": last.prompts[at], "models": models}


def _samples(outputs: Any, prompt: str, samples: int) -> list[ShownSample]:
    texts = outputs.texts[outputs.ids.index(prompt)][:samples]
    shown = []
    for i, text in enumerate(texts):
        first = texts.index(text)
        shown.append(ShownSample(_cut(text), first + 1 if first < i else 0))
    return shown


def _cut(sample: str) -> str:
    """A sample without empty lines, as far as there is room for it."""
    lines = [line.rstrip() for line in sample.splitlines() if line.strip()]
    whole = "\n".join(lines)
    shown = "\n".join(lines[:_LINES])[:_LONGEST].rstrip()
    return whole if shown == whole else f"{shown} …"


def _outputs(found: Findings, task: str) -> dict[str, Any]:
    """Outputs on a task by name of the model."""
    from slr_probe.files import safe_name
    from slr_probe.generation import read_outputs

    by_model: dict[str, Any] = {}
    root = found.folder / "validate" / "outputs" / safe_name(task)
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        if any(folder.glob("*.jsonl")):
            for model, outputs in read_outputs(folder).items():
                by_model.setdefault(model, outputs)
    return by_model

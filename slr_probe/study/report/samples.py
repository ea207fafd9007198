"""Samples of text side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slr_probe.study.folder import Findings

_LONGEST, _LINES = 700, 12  # characters and lines of a sample that are shown


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
    shown = []
    for task in report.tasks:
        outputs = _outputs(found, task)
        named = [("base", "base (plain)" if "base (plain)" in outputs else "base"), ("tuned", "tuned")]
        named += [("hybrid", name) for name in report.hybrids[:1]]
        there = [(cls, outputs[name]) for cls, name in named if name in outputs]
        if not there:
            continue
        last = there[-1][1]
        count = min(prompts, len(last.ids))
        for at in (int((i + 0.5) * len(last.ids) / count) for i in range(count)):
            models = [
                {"cls": cls, "name": one.model, "texts": _texts(one, last.ids[at], samples)}
                for cls, one in there
                if last.ids[at] in one.ids
            ]
            shown.append({"task": task, "prompt": last.prompts[at], "models": models})
    return shown


def _texts(outputs: Any, prompt: str, samples: int) -> list[str]:
    return [_cut(text) for text in outputs.texts[outputs.ids.index(prompt)][:samples]]


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

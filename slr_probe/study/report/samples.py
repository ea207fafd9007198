"""Samples of text side by side: on which prompts, and which of them say the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slr_probe.show.words.format import short

if TYPE_CHECKING:
    from slr_probe.generation import Outputs
    from slr_probe.study.folder import Findings

_LONGEST, _LINES = 700, 12  # characters and lines of a sample that are shown


@dataclass(frozen=True)
class ShownSample:
    """A sample as far as there is room for it, and which sample before it says the same (empty for none)."""

    text: str
    same: str


@dataclass(frozen=True)
class ShownModel:
    """Samples of one model on one prompt.

    Attributes:
        style: Its class in the page.
        name: What it is called.
        different: How many of all its samples on the prompt are different.
        samples: The first of them.
    """

    style: str
    name: str
    different: str
    samples: list[ShownSample]


@dataclass(frozen=True)
class ShownPrompt:
    """A prompt, and what each model makes of it."""

    task: str
    prompt: str
    models: list[ShownModel]


def side_by_side(found: Findings, prompts: int, samples: int) -> list[ShownPrompt]:
    """Samples of base, tuned, hybrid and soup on some prompts of each task: the first ones, as they were drawn.

    The prompts are ordinary ones: those at equal shares of all prompts by how many of the hybrid's samples are
    different, such as its two quartiles for two prompts (ours).

    Args:
        found: The study.
        prompts: Prompts a task.
        samples: Samples a model and prompt.
    """
    report = found.validation
    if report is None:
        return []
    soups = [name for name, kind in zip(report.models, report.kinds, strict=True) if kind == "soup"]
    others = [*(("hybrid", name) for name in report.hybrids[:1]), *(("soup", name) for name in soups[:1])]
    return [shown for task in report.tasks for shown in _of_task(found, task, others, prompts, samples)]


def ordinary(outputs: Outputs, count: int) -> list[int]:
    """Places of prompts at equal shares of all of them, from few different samples to many."""
    different = [len({compact(text) for text in texts}) for texts in outputs.texts]
    ranked = sorted(range(len(different)), key=different.__getitem__)
    count = min(count, len(ranked))
    return [ranked[int((i + 0.5) * len(ranked) / count)] for i in range(count)]


def compact(sample: str) -> str:
    """A sample without empty lines, blanks at its begin and blanks at the ends of lines."""
    return "\n".join(line.rstrip() for line in sample.splitlines() if line.strip()).lstrip()


def _of_task(
    found: Findings, task: str, others: list[tuple[str, str]], prompts: int, samples: int
) -> Iterator[ShownPrompt]:
    outputs = _outputs(found, task)
    named = [("base", "base (plain)" if "base (plain)" in outputs else "base"), ("tuned", "tuned"), *others]
    there = [(style, outputs[name]) for style, name in named if name in outputs]
    if not there:
        return
    judged = dict(there).get("hybrid", there[-1][1])
    for at in ordinary(judged, prompts):
        prompt = judged.ids[at]
        texts = {style: _texts(one, prompt) for style, one in there if prompt in one.ids}
        models = [
            ShownModel(style, one.model, _different(texts[style]), list(_shown(texts, style, samples)))
            for style, one in there
            if style in texts
        ]
        yield ShownPrompt(short(task), judged.prompts[at], models)


def _texts(outputs: Outputs, prompt: str) -> list[str]:
    return [compact(text) for text in outputs.texts[outputs.ids.index(prompt)]]


def _different(texts: list[str]) -> str:
    return f"{len(set(texts))} of {len(texts)} different"


def _shown(texts: dict[str, list[str]], style: str, samples: int) -> Iterator[ShownSample]:
    """The first samples of a model; each is compared with those before it, and with those of tuned that are shown."""
    own, tuned = texts[style], texts.get("tuned", [])[:samples]
    for i, text in enumerate(own[:samples]):
        same = ""
        if text in own[:i]:
            same = f"same as {own.index(text) + 1}"
        elif style in ("hybrid", "soup") and text in tuned:
            same = f"same as tuned {tuned.index(text) + 1}"
        yield ShownSample(_cut(text), same)


def _cut(whole: str) -> str:
    """A sample as far as there is room for it."""
    shown = "\n".join(whole.split("\n")[:_LINES])[:_LONGEST].rstrip()
    return whole if shown == whole else f"{shown} …"


def _outputs(found: Findings, task: str) -> dict[str, Outputs]:
    """Outputs on a task by name of the model."""
    from slr_probe.files import safe_name
    from slr_probe.generation import read_outputs

    by_model: dict[str, Outputs] = {}
    root = found.folder / "validate" / "outputs" / safe_name(task)
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        if any(folder.glob("*.jsonl")):
            for model, outputs in read_outputs(folder).items():
                by_model.setdefault(model, outputs)
    return by_model

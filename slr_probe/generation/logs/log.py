"""`Log`: what one model wrote on one task, and how whoever ran it scored that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from slr_probe.generation.outputs import Outputs


@dataclass(frozen=True)
class Log:
    """One model on one task.

    Attributes:
        outputs: What it wrote; no texts where only probabilities were logged.
        task: Name of the task; empty where the file does not say.
        scores: Scores from the log, one for each prompt (mean over its samples), by the name of the metric.
        hashed: Whether ids are made of a question's content, so that equal ids are one question, whatever template the
            prompt stands in.
        ends: Whether the file says which outputs ended by themselves.
        notes: What a reader should know.
    """

    outputs: Outputs
    task: str = ""
    scores: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    hashed: bool = False
    ends: bool = True
    notes: tuple[str, ...] = ()

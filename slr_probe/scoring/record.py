"""What scores depend on, as plain data that results keep and a later run compares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from slr_probe.files import digest
from slr_probe.version import __version__

if TYPE_CHECKING:
    from slr_probe.generation import Sampling
    from slr_probe.scoring.scoring import Scorers
    from slr_probe.tasks.text import TextTask


def record_tasks(tasks: Sequence[TextTask]) -> list[dict[str, Any]]:
    """Name, source, size and hash of the items of each task."""
    return [
        {
            "name": task.name,
            "source": task.source,
            "prompts": len(task.items),
            "items": digest([asdict(item) for item in task.items]),
            "samples": task.samples,
            "max_tokens": task.max_tokens,
        }
        for task in tasks
    ]


def record_sampling(sampling: Sampling) -> dict[str, Any]:
    """How outputs are drawn; each task has its own number of tokens."""
    return {name: value for name, value in sampling.to_dict().items() if name != "max_tokens"}


def generated_from(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a record that outputs follow from: neither what scores them nor versions."""
    return {name: value for name, value in settings.items() if name not in ("scorers", "library")}


def record_scorers(scorers: Scorers) -> dict[str, Any]:
    """What the metrics depend on, by name."""
    tags = [list(pair) for pair in scorers.tags]
    own = {"metrics": [one.record() for one in scorers.own]} if scorers.own else {}
    return {"vocabulary": scorers.vocabulary, "tags": tags, **scorers.records, **own}


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    return {"slr-probe": __version__} | {name: version(name) for name in ("torch", "transformers", "numpy")}

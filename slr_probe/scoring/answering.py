"""Tasks as calls of `generate`, done here with one open engine, or spread over workers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slr_probe.executor import Executor
from slr_probe.generation import generate
from slr_probe.generation.backend import Backend, InMemory, open_backend
from slr_probe.generation.calls.asked import Asked
from slr_probe.generation.calls.spread import write_spread
from slr_probe.generation.sources import read_sources
from slr_probe.pair.prompts import Format
from slr_probe.progress import course

if TYPE_CHECKING:
    from slr_probe.generation import Outputs, Sampling
    from slr_probe.pair import ModelPair
    from slr_probe.tasks.text import TextTask


def asked_of(
    task: TextTask,
    models: Mapping[str, Any],
    sampling: Sampling,
    out: Path | None,
    *,
    wording: str = "{prompt}",
    format: Format | None = None,
) -> Asked:
    """What is asked for where models answer every prompt of a task, as often and as long as it says.

    Args:
        task: The task, in its final size.
        models: Names, and what `generate` takes for each.
        sampling: How outputs are drawn, but for their length.
        out: Folder for outputs as they come.
        wording: What each prompt is put into.
        format: Prompt format; None for the pair's.
    """
    prompts = [(item.id, wording.replace("{prompt}", item.prompt)) for item in task.items]
    return Asked(prompts, models, task.samples, replace(sampling, max_tokens=task.max_tokens), format, out)


def answer_all(
    pair: ModelPair,
    asked: Sequence[Asked],
    *,
    backend: str = "hf",
    engine: Iterable[str] | Mapping[str, Any] | None = None,
    batch_tokens: int | None = None,
    hybrids: Path | None = None,
    executor: Executor | str | None = None,
    progress: bool | None = None,
) -> list[dict[str, Outputs]]:
    """Let models of one pair answer several tasks; for each, the outputs by name of the model.

    Args:
        pair: The pair.
        asked: The calls.
        backend: What writes, by name.
        engine: Settings of vLLM's engine, which is started once for all calls; on workers, once on each.
        batch_tokens: Bound on the size of a batch in memory.
        hybrids: Where hybrids are restored that vLLM can only load from disk; workers have places of their own.
        executor: Who does it, block by block; None for this process, uncut.
        progress: Whether to show progress bars.
    """
    options: dict[str, Any] = {"batch_tokens": batch_tokens, "progress": progress}
    if executor is not None:
        return write_spread(pair, asked, executor, backend=backend, engine=engine, **options)
    with open_backend(pair, backend, engine, hybrids, **options) as writer:
        _expect(writer, pair, asked)
        sizes = {f"{i} of {len(asked)}": _size(one) for i, one in enumerate(asked, 1)}
        found = []
        with course("text", sizes, show=progress) as steps:
            for place, one in zip(sizes, asked, strict=True):
                with steps.step(place):
                    found.append(answer(pair, one, backend=backend, engine=writer, **options))
        return found


def _size(asked: Asked) -> int:
    """Tokens that may be written, at most."""
    models = len(asked.models) if isinstance(asked.models, Mapping) else 1
    return len(asked.prompts) * models * asked.samples * (asked.sampling.max_tokens or 1)


def answer(pair: ModelPair, asked: Asked, **options: Any) -> dict[str, Outputs]:
    """One call of `generate`, in this process.

    Args:
        pair: The pair.
        asked: The call.
        **options: Further options of `generate`.
    """
    told: dict[str, Any] = {"samples": asked.samples, "sampling": asked.sampling, "format": asked.format}
    return generate(pair, asked.prompts, asked.models, out=asked.out, **told, **options)


def _expect(writer: Backend, pair: ModelPair, asked: Sequence[Asked]) -> None:
    """Tell what writes all models and the longest text, so that an engine is started once for all."""
    if isinstance(writer, InMemory):
        return  # and rendering everything twice would cost time
    longest = max(
        len(pair.render(prompt, one.format)) + one.sampling.max_tokens for one in asked for _, prompt in one.prompts
    )
    writer.expect(
        [source for one in asked for source in read_sources(pair, one.models, one.format, folders=True)], longest
    )

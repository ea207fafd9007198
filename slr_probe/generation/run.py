"""`generate`: samples for every prompt from any set of models."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slr_probe.errors import GenerationError
from slr_probe.executor import Executor
from slr_probe.generation.backend import Backend, BackendName, open_backend
from slr_probe.generation.calls.asked import Asked, check_batch
from slr_probe.generation.calls.job import Job
from slr_probe.generation.calls.spread import write_spread
from slr_probe.generation.journal import held
from slr_probe.generation.outputs import Outputs
from slr_probe.generation.sampling import Sampling
from slr_probe.generation.sources import Model, Source
from slr_probe.pair.given import check_pair
from slr_probe.pair.prompts import Format
from slr_probe.progress import progress_bar, told

if TYPE_CHECKING:
    from slr_probe.generation.decode import Sample
    from slr_probe.pair import ModelPair

_DEFAULT = Sampling()
HYBRIDS = "hybrids"
"""Folder, in that of outputs, of the hybrids that a backend loads from disk."""


@told("generate")
def generate(
    pair: ModelPair,
    prompts: Sequence[tuple[str, str]],
    models: Mapping[str, Model] | Iterable[Model] | Model = ("base", "tuned"),
    *,
    samples: int,
    sampling: Sampling = _DEFAULT,
    format: Format | None = None,
    out: str | os.PathLike[str] | None = None,
    batch_tokens: int | None = None,
    backend: BackendName = "hf",
    engine: Iterable[str] | Mapping[str, Any] | Backend | None = None,
    executor: Executor | str | None = None,
    progress: bool | None = None,
) -> dict[str, Outputs]:
    """Write `samples` outputs for each prompt with each model.

    Sample k of a prompt is drawn with random numbers keyed by seed, prompt id and k alone, so its text does not depend
    on the batch, on other prompts, or on how many samples there are (up to rounding, which differs between batch shapes
    by about 1e-7 of a probability in float32). All models share the numbers. Prompts run once, left-padded, and are
    then continued in all their samples; rows that have ended leave the batch.

    Args:
        pair: The pair.
        prompts: Id and user message of each.
        models: Names with what they stand for: `"base"`, `"tuned"`, the same with `" (plain)"` behind for prompts in
            the plain format, a recipe, a range such as `"8:14"`, a `Route`; or a list of these, which name themselves.
        samples: Outputs a prompt.
        sampling: How tokens are drawn; every setting is explicit.
        format: Prompt format, `"chat"` or `"plain"`; default: the pair's.
        out: Folder for one JSONL a model and `settings.json`. Samples are appended as they are finished; a later call
            writes only what is missing, also when it asks for more prompts or samples.
        batch_tokens: Bound on rows x (longest prompt + `max_tokens`) of a batch, which bounds memory; default 16,384.
        backend: `"hf"` (transformers); `"vllm"` (an extra), which swaps hybrids in one engine and takes folders too;
            or `"vllm-folders"`, which restores each hybrid to disk and starts an engine for it.
        engine: Settings of vLLM's engine, such as `{"tensor_parallel_size": 2}` or `["tensor_parallel_size=2"]`;
            default: vLLM's own, and as `max_model_len` the longest prompt and its output. Or an open
            `slr_probe.generation.vllm.VllmModels`, which stays open.
        executor: Who does it: `"local"`, `"ray"`, `"ray://HOST:PORT"` or an `Executor`. It is then cut into one model
            on `BLOCK` prompts, and any executor writes the same; default: this process, uncut.
        progress: Show a progress bar; None: on a terminal and in Jupyter only.

    Returns:
        The outputs by name of the model, prompts in the order given.

    Raises:
        GenerationError: No prompts, two of one id, one that does not fit the context, or a folder of other settings.
        PromptError: A prompt cannot be rendered.
        RecipeError: Something that is no model.
        ResultError: A malformed line in the folder; it is named.
        OutputError: The folder cannot be written, or another process writes into it.
        ExecutorError: No such executor, or it cannot do the work.

    Examples:
        >>> from slr_probe import ModelPair
        >>> pair = ModelPair.load("organism:base", "organism:dpo", device="cpu")
        >>> found = generate(pair, [("one", "Pick a letter.")], ["tuned", "2:4"], samples=3)
        >>> found["2:4"].samples
        3
    """
    check_pair(pair)
    check_batch(batch_tokens)
    asked = Asked(prompts, models, samples, sampling, format, out)
    if executor is not None:
        if isinstance(engine, Backend):
            raise GenerationError("an engine that is open here cannot travel to workers; give its settings")
        options: dict[str, Any] = {"backend": backend, "engine": engine, "batch_tokens": batch_tokens}
        return write_spread(pair, [asked], executor, **options, progress=progress)[0]
    job = Job(pair, asked, backend)
    folders = None if out is None else Path(out) / HYBRIDS
    with (
        open_backend(pair, backend, engine, folders, batch_tokens=batch_tokens, progress=progress) as writer,
        held(out),
    ):
        todo = job.begin(writer.decisive).todo
        writer.expect(todo, job.longest)
        with progress_bar(job.total, "generate", unit=" samples", show=progress, done=job.kept) as bar:
            for source in writer.order(todo):
                for some in _written(job, source, writer):
                    bar.update(job.keep(source, some))
    return job.collect()


def _written(job: Job, source: Source, writer: Backend) -> Iterator[list[Sample]]:
    """What one model writes, as it is finished."""
    sampling = job.asked.sampling
    left = [replace(request, samples=sampling.drawn(request.samples)) for request in job.left(source).requests]
    yield from writer.write(source, left, sampling, job.call.ends)

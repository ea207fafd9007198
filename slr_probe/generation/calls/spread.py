"""Text as work for an executor: cut by content, into one model on a block of prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slr_probe.executor import Executor, opened
from slr_probe.forward.budget import spans
from slr_probe.generation.backend import open_backend
from slr_probe.generation.calls.asked import Asked
from slr_probe.generation.calls.job import Job
from slr_probe.generation.journal import held
from slr_probe.generation.outputs import Outputs
from slr_probe.generation.sampling import Sampling
from slr_probe.generation.sources import Source
from slr_probe.pair.travel import gpus_for
from slr_probe.progress import progress_bar

if TYPE_CHECKING:
    from slr_probe.generation.decode import Request, Sample
    from slr_probe.pair import ModelPair

BLOCK = 8
"""Prompts of a part (ours): what one model writes to them, in all samples, is written by one worker, in batches of
these prompts alone."""


@dataclass(frozen=True)
class Part:
    """What one worker writes at a time.

    Attributes:
        source: The model.
        requests: What it writes.
        sampling: How.
    """

    source: Source
    requests: tuple[Request, ...]
    sampling: Sampling


@dataclass(frozen=True)
class Writing:
    """Text of the models of one pair.

    Attributes:
        pair: The pair.
        backend: What writes, by name.
        settings: Settings of its engine.
        batch_tokens: Bound on the size of a batch in memory.
        ends: Tokens that end an output.
        sources: All models, in the order in which they are written.
        length: Tokens of the longest prompt and its output.
    """

    pair: ModelPair
    backend: str
    settings: Mapping[str, Any]
    batch_tokens: int | None
    ends: tuple[int, ...]
    sources: tuple[Source, ...]
    length: int

    @property
    def gpus(self) -> int:
        """One where the pair runs on GPUs; for an engine of vLLM as many as it is split over."""
        split = _size(self.settings, "tensor_parallel_size") * _size(self.settings, "pipeline_parallel_size")
        return gpus_for(self.pair) * max(1, split)

    @contextmanager
    def open(self) -> Iterator[Callable[[Part], list[Sample]]]:
        """What writes; hybrids that it needs as folders are its own, and go with it."""
        settings = dict(self.settings)
        if self.gpus > 1:  # inside a placement group vLLM would ask Ray for the GPUs that its worker holds already
            settings.setdefault("distributed_executor_backend", "mp")
        batch = self.batch_tokens
        with open_backend(self.pair, self.backend, settings, batch_tokens=batch, progress=False) as writer:
            expected: list[Source] = []

            def do(part: Part) -> list[Sample]:
                if not expected:  # of a queue ordered by model, those before the first part are written by others
                    expected[:] = self.sources[_place(self.sources, part.source) :]
                    writer.expect(expected, self.length)
                written = writer.write(part.source, part.requests, part.sampling, self.ends)
                return sorted((one for some in written for one in some), key=lambda one: (one.number, one.id))

            yield do


def write_spread(
    pair: ModelPair,
    asked: Sequence[Asked],
    executor: Executor | str,
    *,
    backend: str = "hf",
    engine: Iterable[str] | Mapping[str, Any] | None = None,
    batch_tokens: int | None = None,
    progress: bool | None = None,
) -> list[dict[str, Outputs]]:
    """Several calls of `generate` on one pair, in one queue that an executor works off.

    The cut follows from what is asked alone, so any executor gives the same texts. A block of which samples are missing
    is written again in those samples for all its prompts, so that its batches are what they would have been.

    Args:
        pair: The pair.
        asked: The calls.
        executor: Who does it.
        backend: As `generate` takes it; each worker has an engine of its own.
        engine: Settings of vLLM's engine.
        batch_tokens: As `generate` takes it.
        progress: Likewise.

    Returns:
        For each call, the outputs by name of the model.

    Raises:
        GenerationError: As `generate` does.
        ExecutorError: No such executor, or it cannot do the work.
    """
    jobs = [Job(pair, one, backend) for one in asked]
    with ExitStack() as stack:
        # Nothing starts here: it says which settings are decisive, and in what order models cost least.
        writer = stack.enter_context(open_backend(pair, backend, engine, batch_tokens=batch_tokens))
        for out in dict.fromkeys(one.out for one in asked if one.out is not None):
            stack.enter_context(held(out))
        for job in jobs:
            job.begin(writer.decisive)
        sources = writer.order(_distinct(jobs))
        length = max((job.longest for job in jobs), default=0)
        writer.expect(sources, length)
        parts = sorted(_parts(jobs), key=lambda one: _place(sources, one[1].source))
        work = Writing(
            pair,
            backend,
            _settings(backend, engine),
            batch_tokens,
            jobs[0].call.ends if jobs else (),
            tuple(sources),
            length,
        )
        workers = stack.enter_context(opened(executor))
        assert workers is not None
        total, kept = sum(job.total for job in jobs), sum(job.kept for job in jobs)
        with progress_bar(total, "generate", unit=" samples", show=progress, done=kept) as bar:
            for number, samples in workers.run(work, [part for _, part in parts]):
                job, part = parts[number]
                bar.update(job.keep(part.source, samples))
    return [job.collect() for job in jobs]


def _parts(jobs: Sequence[Job]) -> Iterator[tuple[Job, Part]]:
    """All parts that are not whole, each with its job."""
    for job in jobs:
        for source in job.todo:
            left, ids = job.left(source), job.rendered[source.format]
            names = list(ids)
            for some in spans(len(names), BLOCK):
                block = names[some]
                missing = tuple(sorted({number for name in block for number in left.missing(name)}))
                if missing:
                    requests = job.call.requests({name: ids[name] for name in block}, missing, job.beside(source))
                    yield job, Part(source, requests, job.asked.sampling)


def _distinct(jobs: Sequence[Job]) -> list[Source]:
    """The models of all jobs; one that several ask for is there once."""
    found: dict[Any, Source] = {}
    for job in jobs:
        for source in job.todo:
            found.setdefault(source.what, source)
    return list(found.values())


def _place(sources: Sequence[Source], source: Source) -> int:
    return next(at for at, one in enumerate(sources) if one.what == source.what)


def _settings(backend: str, engine: Iterable[str] | Mapping[str, Any] | None) -> dict[str, Any]:
    if backend == "hf":
        return {}
    from slr_probe.generation.vllm.settings import read_settings

    return read_settings(engine)


def _size(settings: Mapping[str, Any], name: str) -> int:
    value = settings.get(name, 1)
    return value if isinstance(value, int) else 1

"""What writes samples: transformers in this process, or vLLM."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args, runtime_checkable

from slr_probe.errors import GenerationError
from slr_probe.generation.sampling import Sampling
from slr_probe.generation.sources import Source
from slr_probe.generation.text import Writing
from slr_probe.pair.several import is_spread

if TYPE_CHECKING:
    from slr_probe.generation.decode import Request, Sample
    from slr_probe.pair import ModelPair

BackendName = Literal["hf", "vllm", "vllm-folders"]


@runtime_checkable
class Backend(Protocol):
    """Writes with models of one pair."""

    @property
    def decisive(self) -> Mapping[str, Any]:
        """Settings that may change what is written."""

    def expect(self, sources: Sequence[Source], length: int) -> None:
        """Make ready for these models, and for so many tokens of prompt and output at most."""

    def order(self, sources: Sequence[Source]) -> list[Source]:
        """The models in the order in which they are written with at least cost."""

    def write(
        self, source: Source, requests: Sequence[Request], sampling: Sampling, ends: Sequence[int]
    ) -> Iterator[list[Sample]]:
        """Write all samples of all requests with one model; yields them as they are finished."""


class InMemory:
    """Writes with the pair's own models, in which hybrids are built and taken back.

    Args:
        pair: The pair.
        batch_tokens: Bound on rows x (longest prompt + longest output) of a batch; None for the default.
    """

    def __init__(self, pair: ModelPair, batch_tokens: int | None = None) -> None:
        self._pair, self._batch_tokens = pair, batch_tokens

    @property
    def decisive(self) -> Mapping[str, Any]:
        """None: batches change nothing but rounding."""
        return {}

    def expect(self, sources: Sequence[Source], length: int) -> None:
        """Nothing has to be made ready."""

    def order(self, sources: Sequence[Source]) -> list[Source]:
        """As they were given: no order is cheaper."""
        return list(sources)

    def write(
        self, source: Source, requests: Sequence[Request], sampling: Sampling, ends: Sequence[int]
    ) -> Iterator[list[Sample]]:
        """See `slr_probe.generation.decode.write`."""
        from slr_probe.generation.decode import write

        stops = Writing(self._pair.tokenizer, sampling.stop).stopped if sampling.stop else None
        how: dict[str, Any] = {"ends": ends, "stops": stops, "end_bias": source.end_bias}
        if is_spread(self._pair.tuned):
            raise GenerationError(
                "the models are spread over several devices, and text is written on one; give a device that holds "
                "both, or backend='vllm'"
            )
        with source.model(self._pair) as model:
            yield from write(model, requests, sampling, batch_tokens=self._batch_tokens, **how)


def check_backend(
    pair: ModelPair, name: str, engine: Iterable[str] | Mapping[str, Any] | Backend | None = None
) -> None:
    """Check that a backend can be opened, before long work.

    Raises:
        GenerationError: It cannot; see `open_backend`.
    """
    with open_backend(pair, name, engine):
        pass


@contextmanager
def open_backend(
    pair: ModelPair,
    name: str,
    engine: Iterable[str] | Mapping[str, Any] | Backend | None = None,
    folders: Path | None = None,
    *,
    batch_tokens: int | None = None,
    progress: bool | None = None,
) -> Iterator[Backend]:
    """Open what writes; what is open already (`engine`) is taken as it is, and stays open.

    Args:
        pair: The pair.
        name: `"hf"`, `"vllm"` or `"vllm-folders"`.
        engine: Settings of vLLM's engine, or an open backend.
        folders: Where hybrids are restored that vLLM can only load from disk.
        batch_tokens: Bound on the size of a batch in memory.
        progress: Whether to show progress bars.

    Raises:
        GenerationError: An unknown backend, settings of an engine without one, or vLLM cannot be used.
    """
    if name not in get_args(BackendName):
        raise GenerationError(f"unknown backend {name!r}; expected {' or '.join(map(repr, get_args(BackendName)))}")
    if isinstance(engine, Backend):
        yield engine
    elif name == "hf":
        if engine:
            raise GenerationError("settings of an engine are for backend='vllm'; leave them out, or name that backend")
        yield InMemory(pair, batch_tokens)
    else:
        from slr_probe.generation.vllm import VllmModels

        with VllmModels(pair, engine, folders=folders, live=name == "vllm", progress=progress) as models:
            yield models

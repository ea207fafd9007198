"""`generate`: samples for every prompt from any set of models."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slr_probe.errors import GenerationError
from slr_probe.generation.backend import Backend, BackendName, open_backend
from slr_probe.generation.call import Call, Done
from slr_probe.generation.journal import held
from slr_probe.generation.outputs import Outputs
from slr_probe.generation.sampling import Sampling
from slr_probe.generation.sources import Model, Route, Source, read_sources
from slr_probe.pair.prompts import Format
from slr_probe.progress import progress_bar

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair

_DEFAULT = Sampling()
_MOST = 1 << 20  # samples a prompt
HYBRIDS = "hybrids"
"""Folder, in that of outputs, of the hybrids that a backend loads from disk."""


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
        progress: Show a progress bar; None: on a terminal and in Jupyter only.

    Returns:
        The outputs by name of the model, prompts in the order given.

    Raises:
        GenerationError: No prompts, two of one id, one that does not fit the context, or a folder of other settings.
        PromptError: A prompt cannot be rendered.
        RecipeError: Something that is no model.
        ResultError: A malformed line in the folder; it is named.
        OutputError: The folder cannot be written, or another process writes into it.

    Examples:
        >>> from slr_probe import ModelPair
        >>> pair = ModelPair.load("organism:base", "organism:dpo", device="cpu")
        >>> found = generate(pair, [("one", "Pick a letter.")], ["tuned", "2:4"], samples=3)
        >>> found["2:4"].samples
        3
    """
    prompts = _check(prompts, samples, batch_tokens)
    sources = read_sources(pair, models, format, folders=backend != "hf")
    rendered = {format: _render(pair, prompts, format) for format in _formats(sources)}
    folders = None if out is None else Path(out) / HYBRIDS
    total = len(prompts) * samples
    with (
        open_backend(pair, backend, engine, folders, batch_tokens=batch_tokens, progress=progress) as writer,
        held(out),
    ):
        call = Call(pair, dict(prompts), samples, sampling, _ends(pair), backend, writer.decisive)
        written = {
            source.name: call.left(
                source, rendered[source.format], out, rendered["plain"] if isinstance(source.what, Route) else None
            )
            for source in sources
        }
        todo = [source for source in sources if written[source.name].left]
        writer.expect(todo, max(one.longest for one in written.values()) + sampling.max_tokens)
        kept = sum(total - one.left for one in written.values())
        with progress_bar(total * len(sources), "generate", unit=" samples", show=progress, done=kept) as bar:
            for source in writer.order(todo):
                for lines in call.lines(source, written[source.name].requests, writer):
                    written[source.name].keep(lines)
                    bar.update(len(lines))
    return {name: _collect(name, prompts, samples, one.done, sampling) for name, one in written.items()}


def _check(prompts: Sequence[tuple[str, str]], samples: int, batch_tokens: int | None) -> list[tuple[str, str]]:
    try:
        pairs = [(name, text) for name, text in prompts]
    except (TypeError, ValueError) as error:
        raise GenerationError("prompts must be pairs of an id and a user message, such as ('1', 'Hello')") from error
    if not pairs:
        raise GenerationError("no prompts to generate for; give pairs of an id and a user message")
    for name, text in pairs:
        if not isinstance(name, str) or not isinstance(text, str):
            raise GenerationError(f"a prompt is a pair of two texts, its id and the message; got {(name, text)!r}")
    ids = [name for name, _ in pairs]
    if len(set(ids)) != len(ids):
        raise GenerationError(f"two prompts share the id {next(i for i in ids if ids.count(i) > 1)!r}")
    if not 1 <= samples <= _MOST:
        raise GenerationError(f"samples must be at least 1, and {_MOST} at most; got {samples}")
    if batch_tokens is not None and batch_tokens < 1:
        raise GenerationError(f"batch_tokens must be at least 1; got {batch_tokens}")
    return pairs


def _formats(sources: Sequence[Source]) -> dict[Format, None]:
    """Formats that prompts are needed in, each once; base reads the plain one where it writes with tuned."""
    found = dict.fromkeys(source.format for source in sources)
    return found | (dict.fromkeys(("plain",)) if any(isinstance(one.what, Route) for one in sources) else {})


def _render(pair: ModelPair, prompts: list[tuple[str, str]], format: Format) -> dict[str, tuple[int, ...]]:
    return {name: tuple(pair.render(text, format)) for name, text in prompts}


def _ends(pair: ModelPair) -> tuple[int, ...]:
    from slr_probe.generation.decode import end_tokens

    return end_tokens(pair)


def _collect(model: str, prompts: list[tuple[str, str]], samples: int, done: Done, sampling: Sampling) -> Outputs:
    cells = [[done[name, k] for k in range(samples)] for name, _ in prompts]
    return Outputs(
        model,
        tuple(name for name, _ in prompts),
        tuple(text for _, text in prompts),
        tuple(tuple(text for text, _ in row) for row in cells),
        tuple(tuple(ended for _, ended in row) for row in cells),
        sampling,
    )

"""`generate`: samples for every prompt from any set of models."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from slr_probe.errors import GenerationError
from slr_probe.files import digest
from slr_probe.generation.journal import Journal, hash_ids, held, library_versions
from slr_probe.generation.outputs import Outputs
from slr_probe.generation.sampling import Sampling
from slr_probe.generation.sources import Model, Source, read_sources
from slr_probe.generation.text import Writing
from slr_probe.pair.prompts import Format
from slr_probe.pair.prompts.template import Template
from slr_probe.progress import progress_bar

if TYPE_CHECKING:
    from slr_probe.generation.decode import Request, Sample
    from slr_probe.pair import ModelPair

_DEFAULT = Sampling()
_MOST = 1 << 20  # samples a prompt
Done = dict[tuple[str, int], tuple[str, bool]]
"""Text and end of each finished sample, by prompt id and number of the sample."""


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
    backend: Literal["hf", "vllm"] = "hf",
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
            the plain format, a recipe, a range such as `"8:14"`; or a list of these, which name themselves.
        samples: Outputs a prompt.
        sampling: How tokens are drawn; every setting is explicit.
        format: Prompt format, `"chat"` or `"plain"`; default: the pair's.
        out: Folder for one JSONL a model and `settings.json`. Samples are appended as they are finished; a later call
            writes only what is missing, also when it asks for more prompts or samples.
        batch_tokens: Bound on rows x (longest prompt + `max_tokens`) of a batch, which bounds memory; default 16,384.
        backend: `"hf"` (transformers) or `"vllm"` (extra `vllm`; hybrids are given as folders).
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
    prompts = _check(prompts, samples, batch_tokens, backend)
    sources = read_sources(pair, models, format, folders=backend == "vllm")
    if backend == "vllm":
        from slr_probe.generation.vllm import check_folders

        check_folders(pair, sources)
    rendered = {format: _render(pair, prompts, format) for format in dict.fromkeys(s.format for s in sources)}
    call = _Call(pair, dict(prompts), sampling, _ends(pair), batch_tokens, backend)
    outputs: dict[str, Outputs] = {}
    total = len(prompts) * samples
    with held(out):
        asked = [_asked(call, source, out, prompts, samples, rendered[source.format]) for source in sources]
        kept = total * len(asked) - sum(len(request.samples) for one in asked for request in one.requests)
        with progress_bar(total * len(asked), "generate", unit=" samples", show=progress, done=kept) as bar:
            for one in asked:
                for lines in _lines(call, one.source, one.requests):
                    one.keep(lines)
                    bar.update(len(lines))
                outputs[one.source.name] = _collect(one.source.name, prompts, samples, one.done, sampling)
    return outputs


@dataclass(frozen=True)
class _Call:
    """What all models of one call of `generate` share.

    Attributes:
        pair: The pair.
        prompts: User messages by id.
        sampling: How tokens are drawn.
        ends: Tokens that end an output.
        batch_tokens: Bound on rows x (longest prompt + longest output) of a batch; None for the default.
        backend: "hf" or "vllm".
    """

    pair: ModelPair
    prompts: Mapping[str, str]
    sampling: Sampling
    ends: tuple[int, ...]
    batch_tokens: int | None
    backend: str

    @cached_property
    def writing(self) -> Writing:
        """How tokens become texts."""
        return Writing(self.pair.tokenizer, self.sampling.stop)

    def opened(self, format: Format) -> str:
        """The mark of reasoning that prompts of this format end with; empty for none."""
        reasoning = self.pair.prompts.opening.reasoning if format == "chat" else None
        return reasoning[0] if reasoning else ""


@dataclass(frozen=True)
class _Asked:
    """What one model of a call is asked for: its samples that are there, and requests for the others."""

    source: Source
    journal: Journal | None
    done: Done
    requests: list[Request]

    def keep(self, lines: list[dict[str, Any]]) -> None:
        if self.journal is not None:
            self.journal.append(lines)
        self.done.update({(line["id"], line["sample"]): (line["text"], line["finished"]) for line in lines})


def _asked(
    call: _Call,
    source: Source,
    out: Any,
    prompts: list[tuple[str, str]],
    samples: int,
    rendered: Mapping[str, tuple[int, ...]],
) -> _Asked:
    journal = _journal(call, source, out)
    if journal is not None:
        journal.check_prompts(prompts, rendered)
    done: Done = {} if journal is None else journal.done
    return _Asked(source, journal, done, _missing(samples, done, rendered))


def _lines(call: _Call, source: Source, requests: list[Request]) -> Iterator[list[dict[str, Any]]]:
    """Lines of JSONL as samples are finished; of a greedy request one sample is written and then repeated."""
    if not requests:
        return
    hashes = {request.id: hash_ids(request.ids) for request in requests}
    copies = {request.id: request.samples for request in requests}
    opened = call.opened(source.format)
    if call.sampling.greedy:
        requests = [replace(request, samples=request.samples[:1]) for request in requests]
    for finished in _write(call, source, requests):
        lines = []
        for sample in finished:
            line = {
                "model": source.name,
                "id": sample.id,
                "prompt": call.prompts[sample.id],
                "sample": sample.number,
                "text": call.writing.text(sample.tokens, opened),
                "finished": sample.finished,
                "tokens": len(sample.tokens),
                "rendered": hashes[sample.id],
            }
            numbers = copies[sample.id] if call.sampling.greedy else (sample.number,)
            lines += [{**line, "sample": number} for number in numbers]
        yield lines


def _write(call: _Call, source: Source, requests: list[Request]) -> Iterator[list[Sample]]:
    """Samples of one model as they are finished."""
    if call.backend == "vllm":
        from slr_probe.generation.vllm import folder_of, write_vllm

        folder, dtype = folder_of(call.pair, source), _dtype(call.pair, None)
        yield from write_vllm(folder, requests, call.sampling, ends=call.ends, dtype=dtype)
        return
    from slr_probe.generation.decode import write

    stops = call.writing.stopped if call.sampling.stop else None
    with source.model(call.pair) as model:
        how: dict[str, Any] = {"ends": call.ends, "stops": stops, "end_bias": source.end_bias}
        yield from write(model, requests, call.sampling, batch_tokens=call.batch_tokens, **how)


def _check(
    prompts: Sequence[tuple[str, str]], samples: int, batch_tokens: int | None, backend: str
) -> list[tuple[str, str]]:
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
    if backend not in ("hf", "vllm"):
        raise GenerationError(f"unknown backend {backend!r}; expected 'hf' or 'vllm'")
    return pairs


def _render(pair: ModelPair, prompts: list[tuple[str, str]], format: Format) -> dict[str, tuple[int, ...]]:
    return {name: tuple(pair.render(text, format)) for name, text in prompts}


def _ends(pair: ModelPair) -> tuple[int, ...]:
    from slr_probe.generation.decode import end_tokens

    return end_tokens(pair)


def _missing(samples: int, done: Done, rendered: Mapping[str, tuple[int, ...]]) -> list[Request]:
    """Requests for the samples that are not there yet."""
    from slr_probe.generation.decode import Request

    requests = []
    for name, ids in rendered.items():
        numbers = tuple(number for number in range(samples) if (name, number) not in done)
        if numbers:
            requests.append(Request(name, ids, numbers))
    return requests


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


def _journal(call: _Call, source: Source, out: Any) -> Journal | None:
    """The file of one model's outputs, with all that decides what they are; None where nothing is kept."""
    if out is None:
        return None
    from slr_probe.checkpoint import identity, open_checkpoint
    from slr_probe.pair.side import state_of

    pair = call.pair
    template = Template.of(pair.tokenizer) if source.format == "chat" else None
    opened = call.opened(source.format)
    folder = source.what if isinstance(source.what, Path) else None
    made = {
        "model": "folder" if folder else source.describe(),
        "base": state_of(pair.base_side) if folder is None else None,
        "tuned": state_of(pair.tuned_side) if folder is None else identity(open_checkpoint(folder)),
        "format": source.format,
        "chat_template": digest(template.text.encode("utf-8", "surrogatepass"))[:16] if template else None,
        **({"reasoning": opened} if opened else {}),
        "sampling": call.sampling.to_dict(),
        "ends": list(call.ends),
        "dtype": _dtype(pair, "as stored"),
        "backend": call.backend,
    }
    return Journal(Path(out), source.name, made, library_versions(call.backend))


def _dtype(pair: ModelPair, default: str | None) -> str | None:
    return default if pair.dtype is None else str(pair.dtype).removeprefix("torch.")

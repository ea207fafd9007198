"""`generate`: samples for every prompt from any set of models."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from slr_probe.errors import GenerationError
from slr_probe.files import digest
from slr_probe.generation.journal import Journal, hash_ids
from slr_probe.generation.outputs import Outputs
from slr_probe.generation.sampling import Sampling
from slr_probe.generation.sources import Model, Source, read_sources
from slr_probe.pair.prompts import Format
from slr_probe.progress import progress_bar

if TYPE_CHECKING:
    from slr_probe.generation.decode import Request, Written
    from slr_probe.pair import ModelPair

_DEFAULT = Sampling()
Done = dict[tuple[str, int], tuple[str, bool]]


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
        OutputError: The folder cannot be written.

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
    rendered = {f: _render(pair, prompts, f) for f in dict.fromkeys(source.format for source in sources)}
    ends = _ends(pair)
    wanted = [(name, k) for name, _ in prompts for k in range(samples)]
    found: dict[str, Outputs] = {}
    with progress_bar(len(wanted) * len(sources), "generate", unit=" samples", show=progress) as ticker:
        for source in sources:
            journal = _journal(pair, source, sampling, ends, backend, out)
            done: Done = {} if journal is None else journal.done
            if journal is not None:
                journal.check_prompts(prompts, rendered[source.format])
            missing = _missing(wanted, done, rendered[source.format])
            ticker.update(len(wanted) - sum(len(request.samples) for request in missing))
            for rows in _rows(pair, source, missing, dict(prompts), sampling, ends, batch_tokens, backend):
                if journal is not None:
                    journal.append(rows)
                done.update({(row["id"], row["sample"]): (row["text"], row["finished"]) for row in rows})
                ticker.update(len(rows))
            found[source.name] = _collect(source.name, prompts, samples, done, sampling)
    return found


def _rows(
    pair: ModelPair,
    source: Source,
    requests: list[Request],
    prompts: Mapping[str, str],
    sampling: Sampling,
    ends: tuple[int, ...],
    batch_tokens: int | None,
    backend: str,
) -> Iterator[list[dict[str, Any]]]:
    """Lines of JSONL as samples are finished; of a greedy request one sample is written and then repeated."""
    from dataclasses import replace

    copies = {request.id: request.samples for request in requests}
    hashes = {request.id: hash_ids(request.ids) for request in requests}
    if sampling.greedy:
        requests = [replace(request, samples=request.samples[:1]) for request in requests]
    text = _text_of(pair, sampling)
    for written in _write(pair, source, requests, sampling, ends, batch_tokens, backend) if requests else ():
        yield [
            {
                "model": source.name, "id": one.id, "prompt": prompts[one.id], "sample": sample,
                "text": text(one.tokens), "finished": one.finished, "tokens": len(one.tokens),
                "rendered": hashes[one.id],
            }
            for one in written for sample in (copies[one.id] if sampling.greedy else (one.sample,))
        ]  # fmt: skip


def _write(
    pair: ModelPair,
    source: Source,
    requests: list[Request],
    sampling: Sampling,
    ends: tuple[int, ...],
    batch_tokens: int | None,
    backend: str,
) -> Iterator[list[Written]]:
    if backend == "vllm":
        from slr_probe.generation.vllm import folder_of, write_vllm

        dtype = None if pair.dtype is None else str(pair.dtype).removeprefix("torch.")
        yield from write_vllm(folder_of(pair, source), requests, sampling, ends=ends, dtype=dtype)
        return
    from slr_probe.generation.decode import write

    decode = pair.tokenizer.decode
    stops = None
    if sampling.stop:

        def stops(tokens: list[int]) -> bool:
            text = str(decode(tokens, skip_special_tokens=True))
            return any(stop in text for stop in sampling.stop)

    with source.model(pair) as model:
        yield from write(model, requests, sampling, ends=ends, stops=stops, batch_tokens=batch_tokens)


def _text_of(pair: ModelPair, sampling: Sampling) -> Callable[[Sequence[int]], str]:
    """Tokens to text, cut before the first string that ends an output."""
    decode = pair.tokenizer.decode

    def text(tokens: Sequence[int]) -> str:
        whole = str(decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False))
        return whole[: min((whole.find(stop) for stop in sampling.stop if stop in whole), default=len(whole))]

    return text


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
    if samples < 1:
        raise GenerationError(f"samples must be at least 1; got {samples}")
    if batch_tokens is not None and batch_tokens < 1:
        raise GenerationError(f"batch_tokens must be at least 1; got {batch_tokens}")
    if backend not in ("hf", "vllm"):
        raise GenerationError(f"unknown backend {backend!r}; expected 'hf' or 'vllm'")
    return pairs


def _render(pair: ModelPair, prompts: list[tuple[str, str]], format: Format) -> dict[str, tuple[int, ...]]:
    return {name: tuple(pair.render(text, format)) for name, text in prompts}


def _ends(pair: ModelPair) -> tuple[int, ...]:
    from slr_probe.generation.ends import end_tokens

    return end_tokens(pair)


def _missing(wanted: list[tuple[str, int]], done: Done, rendered: Mapping[str, tuple[int, ...]]) -> list[Request]:
    from slr_probe.generation.decode import Request

    missing: dict[str, list[int]] = {}
    for name, sample in wanted:
        if (name, sample) not in done:
            missing.setdefault(name, []).append(sample)
    return [Request(name, rendered[name], tuple(numbers)) for name, numbers in missing.items()]


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


def _journal(
    pair: ModelPair, source: Source, sampling: Sampling, ends: tuple[int, ...], backend: str, out: Any
) -> Journal | None:
    if out is None:
        return None
    from slr_probe.checkpoint import identity, open_checkpoint
    from slr_probe.pair.side import fingerprint

    template = str(getattr(pair.tokenizer, "chat_template", None) or "") if source.format == "chat" else ""
    folder = source.what if isinstance(source.what, Path) else None
    made = {
        "model": "folder" if folder else source.describe(),
        "base": fingerprint(pair.base_side) if folder is None else None,
        "tuned": fingerprint(pair.tuned_side) if folder is None else identity(open_checkpoint(folder)),
        "format": source.format,
        "chat_template": digest(template.encode())[:16] if template else None,
        "sampling": sampling.to_dict(),
        "ends": list(ends),
        "dtype": "as stored" if pair.dtype is None else str(pair.dtype).removeprefix("torch."),
        "backend": backend,
    }
    return Journal(Path(out), source.name, made, _versions(backend))


def _versions(backend: str) -> dict[str, str]:
    found = {}
    for package in ("slr-probe", "torch", "transformers", *(("vllm",) if backend == "vllm" else ())):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a source tree that is not installed
            found[package] = "unknown"
    return found

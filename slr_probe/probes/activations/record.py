"""`record`: activations of base, tuned and any number of hybrids on the same prompts."""

from __future__ import annotations

import os
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from slr_probe.checkpoint.names import find_decoder
from slr_probe.errors import LayoutError, PromptError, SlrProbeError
from slr_probe.forward.hooks import check_additive, first_nonfinite, recording
from slr_probe.forward.points import Point, select_points
from slr_probe.forward.questions import Batch, batches, read_questions
from slr_probe.layers import LayerRange
from slr_probe.output_folder import output_folder
from slr_probe.pair.given import check_pair
from slr_probe.probes.activations.result import Recording, tensor_name, write_description
from slr_probe.probes.activations.store import FILE, Memory, Store, Stored, file_bytes, writing
from slr_probe.progress import progress_bar
from slr_probe.recipe import Recipe
from slr_probe.restoration import restored

if TYPE_CHECKING:
    from jaxtyping import Int
    from torch import Tensor
    from transformers import PreTrainedModel

    from slr_probe.pair import ModelPair
    from slr_probe.pair.prompts import Format, Prompt
    from slr_probe.tasks.answers import Query
    from slr_probe.tasks.crc import CRCTask, RenderedTask

Positions = Literal["answer", "all"] | Sequence[int]
_MODELS = ("base", "tuned")


@dataclass(frozen=True)
class _Rows:
    """Which token of which prompt each row is; the rows of a prompt follow each other.

    Attributes:
        prompt: Number of the prompt.
        position: Position in the prompt.
        start: First row of each prompt, and the number of rows at the end.
    """

    prompt: Int[np.ndarray, " row"]
    position: Int[np.ndarray, " row"]
    start: Int[np.ndarray, " prompts_and_end"]

    def at(self, batch: Batch) -> Tensor:
        """Positions to keep in each row of a batch, padded with position 0."""
        spans = [self.position[self.start[i] : self.start[i + 1]] for i in batch.rows]
        padded = torch.zeros(len(spans), max(map(len, spans)), dtype=torch.int64)
        for row, span in zip(padded, spans, strict=True):
            row[: len(span)] = torch.from_numpy(span)
        return padded


def record(
    pair: ModelPair,
    prompts: CRCTask | RenderedTask | Sequence[Query] | Prompt | Sequence[Prompt],
    *,
    models: str | Iterable[str] = _MODELS,
    recipes: Recipe | LayerRange | str | Iterable[Recipe | LayerRange | str] = (),
    points: Iterable[str] = ("resid_post",),
    blocks: Iterable[int] | None = None,
    positions: Positions = "answer",
    format: Format | None = None,
    batch_size: int = 32,
    out: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> Recording:
    """Record the residual stream and what attention and MLP add to it, block by block.

    All models see the same token ids. Prompts are batched by length and padded at the end, which in a causal model
    changes no number. Activations keep the dtype that the model computes in. The output head does not run.

    Args:
        pair: The pair.
        prompts: Texts, conversations, rendered queries, or a task such as CRC.
        models: `"base"`, `"tuned"`, or both.
        recipes: Hybrids to record as well, built in memory one after the other; named by their recipe.
        points: Any of `"resid_pre"`, `"attn_out"`, `"resid_mid"`, `"mlp_out"`, `"resid_post"`; see `points.Point`.
        blocks: Decoder blocks; default: all.
        positions: `"answer"` (the last token of each prompt, whose output is the answer), `"all"`, or positions
            from the start (0, 1, ...) or end (-1, -2, ...) of each prompt.
        format: Prompt format, `"chat"` or `"plain"`; default: the pair's.
        batch_size: Prompts a forward.
        out: Write to this new folder while recording, instead of keeping everything in memory; it appears only when it
            is complete. Space is reserved first.
        progress: Show a progress bar; None: on a terminal and in Jupyter only.

    Raises:
        PromptError: No prompts, or one that is empty, longer than the context, or lacks a position.
        LayoutError: An unknown point or block, or one that this architecture does not have.
        LayerRangeError: A recipe's range is out of bounds.
        SlrProbeError: An unknown model, two hybrids of one name, or activations that are NaN or infinite (the model and
            the block where they first appear are named).
        OutputError: `out` is in use, or the disk is full.

    Examples:
        >>> from slr_probe import ModelPair
        >>> pair = ModelPair.load("organism:base", "organism:dpo", device="cpu")
        >>> found = record(pair, ["Pick a letter.", "Pick a digit."], recipes=["2:4"])
        >>> found.models
        ('base', 'tuned', 'restore 2:4 of 10')
        >>> found.read("tuned", "resid_post", block=3).shape
        torch.Size([2, 96])
    """
    check_pair(pair)
    questions = read_questions(pair, prompts, format=format)
    sources = _sources(pair, (models,) if isinstance(models, str) else tuple(models), recipes)
    points = (points,) if isinstance(points, str) else tuple(dict.fromkeys(points))
    places = select_points(pair.tuned, points, blocks)
    chosen = tuple(dict.fromkeys(place.block for place in places))
    if not places:
        raise SlrProbeError("nothing to record: give at least one point and one block")
    if batch_size < 1:
        raise SlrProbeError(f"batch_size must be at least 1; got {batch_size}")
    ids = [query.token_ids for query in questions.queries]
    rows = _rows(ids, positions)
    _warn_unless_additive(pair.tuned, points, ids[0])

    width, dtype = _hidden(pair.tuned)
    shapes = {tensor_name(name, p.component, p.block): (len(rows.prompt), width) for name in sources for p in places}
    described: dict[str, Any] = {
        "base": pair.base_side.label,
        "tuned": pair.tuned_side.label,
        "models": tuple(sources),
        "points": points,
        "blocks": chosen,
        "labels": questions.labels,
        "prompt": rows.prompt,
        "position": rows.position,
        "token": np.array([ids[i][j] for i, j in zip(rows.prompt, rows.position, strict=True)], dtype=np.int64),
    }
    steps = progress_bar(len(ids) * len(sources), "record", unit=" prompts", show=progress)
    with steps as ticker, ExitStack() as stack:
        folder = None if out is None else _folder(Path(out), shapes, dtype, described)
        store: Store = Memory(shapes, dtype) if folder is None else stack.enter_context(folder)
        for name, source in sources.items():
            with source() as model:
                places = select_points(model, points, chosen)
                for batch in batches(questions.queries, batch_size):
                    _record_batch(model, name, places, batch, rows, store)
                    ticker.update(len(batch.rows))
    return Recording(**described, store=store if out is None else Stored(Path(out) / FILE))


def _record_batch(
    model: PreTrainedModel, name: str, places: tuple[Point, ...], batch: Batch, rows: _Rows, store: Store
) -> None:
    ids = batch.ids.to(model.device)
    with torch.inference_mode(), recording(places, at=rows.at(batch)) as recorded:
        model.base_model(input_ids=ids, use_cache=False)
        values = torch.stack([recorded[place.key].to(model.device) for place in places])
        finite = bool(values.isfinite().all())
    if not finite:
        _raise_not_finite(model, name, ids)
    values = values.cpu()
    for place, value in zip(places, values, strict=True):
        tensor = tensor_name(name, place.component, place.block)
        for i, kept in zip(batch.rows, value, strict=True):
            start, stop = rows.start[i], rows.start[i + 1]
            store.write(tensor, int(start), kept[: stop - start])


def _raise_not_finite(model: PreTrainedModel, name: str, ids: Tensor) -> None:
    where = first_nonfinite(model, ids, use_cache=False)
    place = "" if where is None else " the embedding" if where == "embedding" else f" block {where[0]} ({where[1]})"
    raise SlrProbeError(
        f"{name}: activations are NaN or infinite, first in{place or ' an unknown place'}; check the weights, or load "
        "the pair in float32 (float16 overflows where a model was trained in bfloat16)"
    )


@contextmanager
def _folder(out: Path, shapes: dict[str, tuple[int, int]], dtype: torch.dtype, described: Any) -> Iterator[Store]:
    with output_folder(out, {"recording": uuid.uuid4().hex}, needed=file_bytes(shapes, dtype)) as work:
        with writing(work, shapes, dtype) as store:
            yield store
        write_description(work, described)


def _sources(
    pair: ModelPair, models: tuple[str, ...], recipes: Recipe | LayerRange | str | Iterable[Recipe | LayerRange | str]
) -> dict[str, Callable[[], Any]]:
    """For each name, a function that gives a context manager of the model."""
    unknown = [name for name in models if name not in _MODELS]
    if unknown:
        raise SlrProbeError(f"unknown models {unknown}; expected 'base' and 'tuned', and hybrids as recipes=[...]")

    @contextmanager
    def loaded(name: str) -> Iterator[PreTrainedModel]:
        yield getattr(pair, name)

    sources: dict[str, Callable[[], Any]] = {name: lambda name=name: loaded(name) for name in models}  # type: ignore[misc]
    for recipe in [recipes] if isinstance(recipes, (Recipe, LayerRange, str)) else recipes:
        read = pair.recipe(recipe)
        if str(read) in sources:
            raise SlrProbeError(f"two hybrids are named '{read}'; give recipes different names")
        sources[str(read)] = lambda read=read: restored(pair, read)  # type: ignore[misc]
    if not sources:
        raise SlrProbeError("nothing to record: give models=, recipes=, or both")
    return sources


def _rows(ids: Sequence[Sequence[int]], positions: Positions) -> _Rows:
    if isinstance(positions, str) and positions not in ("answer", "all"):
        raise PromptError(f"unknown positions {positions!r}; expected 'answer', 'all', or whole numbers")
    if not isinstance(positions, str) and not list(positions):
        raise PromptError("positions=[] keeps nothing; give at least one position")
    kept = [_positions(number, len(tokens), positions) for number, tokens in enumerate(ids)]
    counts = [len(some) for some in kept]
    return _Rows(
        prompt=np.repeat(np.arange(len(ids)), counts),
        position=np.concatenate([np.array(some, dtype=np.int64) for some in kept]),
        start=np.cumsum([0, *counts]),
    )


def _positions(prompt: int, length: int, positions: Positions) -> list[int]:
    """Positions to keep of one prompt, counted from its start."""
    if positions == "all":
        return list(range(length))
    chosen = [-1] if isinstance(positions, str) else [int(position) for position in positions]
    bad = [position for position in chosen if not -length <= position < length]
    if bad:
        raise PromptError(
            f"prompt {prompt} has {length} tokens and so no position {bad[0]}; positions count from 0, or back from -1"
        )
    return [position % length for position in chosen]


def _hidden(model: PreTrainedModel) -> tuple[int, torch.dtype]:
    """Width of the residual stream, and the dtype it is computed in."""
    width = int(model.config.get_text_config(decoder=True).hidden_size)
    return width, next(find_decoder(model).blocks.parameters()).dtype


def _warn_unless_additive(model: PreTrainedModel, points: Iterable[str], ids: Sequence[int]) -> None:
    if {"attn_out", "mlp_out"} & set(points):
        try:
            check_additive(model, torch.tensor([list(ids[:16])], device=model.device))
        except LayoutError as error:
            warnings.warn(f"attention and MLP outputs are recorded as they are: {error}", stacklevel=3)

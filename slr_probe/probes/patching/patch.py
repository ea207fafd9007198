"""Cross-model activation patching: which block's activations restore diversity, and which collapse it.

One model, the recipient, runs a prompt while some of its activations are replaced by those that the other, the donor,
has at the same place on the same token ids (CMAP, arXiv 2402.14811). Base into tuned shows what restores diversity,
tuned into base what collapses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from slr_probe.defaults import LEVEL
from slr_probe.errors import PromptError, SlrProbeError
from slr_probe.forward.budget import parse_bytes
from slr_probe.forward.questions import Batch, batches, read_questions
from slr_probe.forward.readout import AnswerTable
from slr_probe.layers import LayerRange
from slr_probe.probes.patching.blockwise import BlockwiseModel
from slr_probe.probes.patching.cells import Cell, Component, make_cells, read_components, read_windows
from slr_probe.probes.patching.metrics import Metric, Scores
from slr_probe.probes.patching.result import DIRECTIONS, PatchingResult
from slr_probe.probes.patching.walk import Positions, unit_noise, walk
from slr_probe.progress import progress_bar

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair
    from slr_probe.pair.prompts import Format, Prompt
    from slr_probe.tasks.answers import Query
    from slr_probe.tasks.crc import CRCTask, RenderedTask

Direction = Literal["both", "base->tuned", "tuned->base"]
_MODELS = ("base", "tuned")


def patch_activations(
    pair: ModelPair,
    prompts: CRCTask | RenderedTask | Sequence[Query] | Prompt | Sequence[Prompt],
    *,
    answers: Sequence[str] | Sequence[Sequence[str]] | None = None,
    direction: Direction = "both",
    components: Sequence[Component] | Component = ("resid", "attn", "mlp"),
    blocks: Iterable[int | str | LayerRange] | int | str | LayerRange | None = None,
    window: int = 1,
    positions: Positions = "answer",
    metric: Metric | Mapping[str, Metric] | None = None,
    controls: bool = True,
    format: Format | None = None,
    batch_size: int = 8,
    memory: str | int = "1GiB",
    confidence: float = LEVEL,
    seed: int = 0,
    progress: bool | None = None,
) -> PatchingResult:
    """Patch activations of one model into the other, block by block and component by component.

    Args:
        pair: Base and tuned.
        prompts: A task such as CRC, queries that are rendered already, or texts or conversations.
        answers: For texts: answers of one token each, the same for all prompts or a list for each; with them validity
            and conditional entropy are measured. Tasks and queries bring their own.
        direction: `"base->tuned"` patches base activations into tuned (restores diversity), `"tuned->base"` the
            reverse.
        components: `"resid"`: the residual stream after a block; `"attn"`, `"mlp"`: what attention or MLP adds to it.
        blocks: Block numbers and ranges, each one window; default: all windows of `window` blocks. A component is
            patched in every block of its window at once (for the residual stream only the last block matters).
        window: Width of the windows where no blocks are named.
        positions: Patch the answer position, or `"all"` positions of the prompt.
        metric: A function from the logits of one prompt `[vocab]` to a number, or several by name.
        controls: Also patch the recipient's own activation plus a random direction as long as the donor's difference,
            and check on the shortest prompt that patching a model with itself changes nothing.
        format: `"chat"`, `"plain"`, or the pair's default.
        batch_size: Most prompts that are walked together.
        memory: Size of the states of all patched runs; fewer prompts are walked together where they need more.
        confidence: Level of the bootstrap intervals over prompts.
        seed: Seed of the bootstrap and of the random directions.
        progress: Show a bar; None decides by the terminal.

    Raises:
        PromptError: No prompts, a prompt that is empty or longer than the context, an answer of several tokens.
        LayerRangeError: A block is out of bounds.
        LayoutError: A component is unknown, or a model cannot be run block by block.
        IncompatiblePairError: The two models are on different devices.
        SlrProbeError: NaN or infinite activations; the message names the model and the block where they first appear.

    Examples:
        >>> from slr_probe import ModelPair
        >>> pair = ModelPair.load("organism:base", "organism:dpo")  # doctest: +SKIP
        >>> result = patch_activations(pair, CRCTask.default().selection)  # doctest: +SKIP
        >>> result.recovered("conditional_entropy", "base->tuned", "mlp").estimate  # doctest: +SKIP
        array([0.02, 0.11, 0.43, 0.07])
    """
    if direction not in get_args(Direction) or positions not in get_args(Positions):
        raise SlrProbeError(
            f"direction is one of {', '.join(get_args(Direction))} and positions one of "
            f"{', '.join(get_args(Positions))}; got {direction!r} and {positions!r}"
        )
    if seed < 0:
        raise SlrProbeError(f"seed must be at least 0; got {seed}")
    parts, windows = read_components(components), read_windows(blocks, window, pair.depth)
    asked = read_questions(pair, prompts, answers, format)
    if answers is not None and not asked.has_answers:
        raise PromptError("answers= was given but some prompt has none; give at least one answer for each prompt")
    directions = DIRECTIONS if direction == "both" else (direction,)
    ways = [(_MODELS.index(donor), _MODELS.index(to)) for donor, to in (way.split("->") for way in directions)]
    shortest = min(asked.queries, key=lambda query: len(query.token_ids))
    walkers = [BlockwiseModel(name, getattr(pair, name), parts, shortest.token_ids) for name in _MODELS]
    scores = Scores(AnswerTable.of(asked.queries, pair.tuned.device) if asked.has_answers else None, metric)
    cells = make_cells(parts, windows, ("donor", "random") if controls else ("donor",))
    size = len(asked.queries)
    found = np.full((len(scores.names), len(ways), len(cells), size), np.nan)
    unpatched = np.full((len(scores.names), len(_MODELS), size), np.nan)
    with progress_bar(size, "patching", unit="prompt", show=progress) as ticker:
        runs, limit = len(ways) * len(cells), parse_bytes(memory)
        for batch in _batches(asked.queries, batch_size, limit, runs, walkers[0], positions):
            own, states = walk(walkers, ways, batch, cells, positions, unit_noise(seed, batch))
            for m, (walker, stream) in enumerate(zip(walkers, own, strict=True)):
                unpatched[:, m, batch.rows] = _score(scores, walker, stream[None], batch.rows)[:, 0]
                if not np.isfinite(unpatched[scores.names.index("entropy"), m, batch.rows]).all():
                    raise SlrProbeError(
                        f"{walker.name}, block {pair.depth - 1}: the logits read from it are NaN or infinite, though "
                        "all block outputs are finite; check the final norm and the head"
                    )
            for w, ((_, recipient), state) in enumerate(zip(ways, states, strict=True)):
                found[:, w][..., batch.rows] = _score(scores, walkers[recipient], state, batch.rows)
            ticker.update(len(batch.rows))
    place = {cell: i for i, cell in enumerate(cells)}
    shape = (len(scores.names), len(ways), len(parts), len(windows), size)

    def of(kind: Any) -> Float[ndarray, "metric direction component window prompt"]:
        order = [place[Cell(component, span, kind)] for component in parts for span in windows]
        return found[:, :, order].reshape(shape)

    return PatchingResult(
        metrics=scores.names,
        directions=directions,
        components=parts,
        windows=tuple(map(str, windows)),
        positions=positions,
        prompts=asked.labels,
        categories=asked.categories,
        patched=of("donor"),
        unpatched=unpatched,
        random=of("random") if controls else None,
        self_change=_self_change(walkers, shortest, parts, windows, positions) if controls else None,
        confidence=confidence,
        seed=seed,
    )


def _batches(
    queries: Sequence[Query], size: int, memory: int, cells: int, walker: BlockwiseModel, positions: Positions
) -> Iterator[Batch]:
    """Batches of prompts; of one length where the answer position can then be run alone."""
    hidden = int(walker.model.config.get_text_config(decoder=True).hidden_size)
    for batch in batches(queries, max(1, size), one_length=positions == "answer" and walker.keeps_keys):
        alone = positions == "answer" and walker.keeps_keys
        state = cells * hidden * walker.model.dtype.itemsize * (1 if alone else batch.ids.shape[1])
        step = max(1, memory // state)
        for start in range(0, len(batch.rows), step):
            part = slice(start, start + step)
            yield replace(batch, rows=batch.rows[part], ids=batch.ids[part], last=batch.last[part])


@torch.inference_mode()
def _score(
    scores: Scores, walker: BlockwiseModel, states: Float[Tensor, "cell prompt model"], rows: list[int]
) -> Float[ndarray, "metric cell prompt"]:
    """Read states through the model's own norm and head and score them, a few cells at a time."""
    vocab = int(walker.model.config.get_text_config(decoder=True).vocab_size)
    step = max(1, (256 << 20) // (4 * 4 * vocab * states.shape[1]))
    found = []
    for start in range(0, len(states), step):
        part = states[start : start + step]
        logits = walker.readout(part.flatten(0, 1))
        found.append(scores(logits.reshape(*part.shape[:2], -1), rows))
    return np.concatenate(found, axis=1)


@torch.inference_mode()
def _self_change(
    walkers: Sequence[BlockwiseModel],
    query: Query,
    components: Sequence[Component],
    windows: Sequence[LayerRange],
    positions: Positions,
) -> Float[ndarray, " model"]:
    """Largest change of any logit when each model is patched with its own activations, one prompt, every cell."""
    untouched = Cell("attn", LayerRange(0, 1), "nothing")
    cells = sorted([untouched, *make_cells(components, windows, ("donor",))], key=lambda cell: cell.starts)
    (batch,) = batches([query], 1)
    ways = [(i, i) for i in range(len(walkers))]
    states = walk(walkers, ways, batch, cells, positions, unit_noise(0, batch), stack=False)[1]
    at = cells.index(untouched)
    changes = []
    for walker, state in zip(walkers, states, strict=True):
        logits = torch.cat([walker.readout(row).float() for row in state])  # row by row: one shape, one rounding
        changes.append(float((logits - logits[at]).abs().max()))
    return np.array(changes)

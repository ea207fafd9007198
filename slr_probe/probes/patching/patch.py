"""Cross-model activation patching: which block's activations restore diversity, and which collapse it.

One model, the recipient, runs a prompt while some of its activations are replaced by those that the other, the donor,
has at the same place on the same token ids (CMAP, arXiv 2402.14811). Base into tuned shows what restores diversity,
tuned into base what collapses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from slr_probe.defaults import LEVEL
from slr_probe.errors import PromptError, SlrProbeError
from slr_probe.forward.budget import parse_bytes, spans
from slr_probe.forward.questions import Batch, batches, read_questions
from slr_probe.forward.readout import AnswerTable
from slr_probe.layers import LayerRange
from slr_probe.pair.given import check_pair
from slr_probe.pair.vocabulary import require_one_vocabulary
from slr_probe.probes.patching.blockwise import BlockwiseModel
from slr_probe.probes.patching.cells import Cell, Component, Kind, make_cells, read_components, read_windows
from slr_probe.probes.patching.metrics import Metric, Scores
from slr_probe.probes.patching.result import DIRECTIONS, PatchingResult
from slr_probe.probes.patching.walk import Positions, unit_noise, walk
from slr_probe.progress import progress_bar, told

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair
    from slr_probe.pair.prompts import Format, Prompt
    from slr_probe.tasks.answers import Query
    from slr_probe.tasks.crc import CRCTask, RenderedTask

Direction = Literal["both", "base->tuned", "tuned->base"]
_MODELS = ("base", "tuned")
_LOGIT_BYTES = 256 << 20  # logits, and what metrics make of them, that exist at once


@told("patching")
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
    check_pair(pair)
    _check_options(direction, positions, seed)
    parts, windows = read_components(components), read_windows(blocks, window, pair.depth)
    require_one_vocabulary(pair.base_side, pair.tuned_side, "patching")
    questions = read_questions(pair, prompts, answers, format)
    if answers is not None and not questions.has_answers:
        raise PromptError("answers= was given but some prompt has none; give at least one answer for each prompt")
    directions = DIRECTIONS if direction == "both" else (direction,)
    shortest = min(questions.queries, key=lambda query: len(query.token_ids))
    models = [BlockwiseModel(name, getattr(pair, name), parts, shortest.token_ids) for name in _MODELS]
    table = AnswerTable.of(questions.queries, pair.tuned.device) if questions.has_answers else None
    cells = make_cells(parts, windows, ("donor", "random") if controls else ("donor",))
    ways = [(_MODELS.index(donor), _MODELS.index(to)) for donor, to in (way.split("->") for way in directions)]
    job = _Job(models, ways, cells, positions, Scores(table, metric), seed)
    of_cells, unpatched = job.run(questions.queries, batch_size, parse_bytes(memory), progress)

    place = {cell: i for i, cell in enumerate(cells)}

    def of_kind(kind: Kind) -> Float[ndarray, "metric direction component window prompt"]:
        order = [place[Cell(component, span, kind)] for component in parts for span in windows]
        return of_cells[:, :, order].reshape(*of_cells.shape[:2], len(parts), len(windows), -1)

    return PatchingResult(
        metrics=job.scores.names,
        directions=directions,
        components=parts,
        windows=tuple(map(str, windows)),
        positions=positions,
        prompts=questions.labels,
        categories=questions.categories,
        patched=of_kind("donor"),
        unpatched=unpatched,
        random=of_kind("random") if controls else None,
        self_change=_self_change(models, shortest, parts, windows, positions) if controls else None,
        confidence=confidence,
        seed=seed,
    )


def _check_options(direction: str, positions: str, seed: int) -> None:
    if direction not in get_args(Direction) or positions not in get_args(Positions):
        raise SlrProbeError(
            f"direction is one of {', '.join(get_args(Direction))} and positions one of "
            f"{', '.join(get_args(Positions))}; got {direction!r} and {positions!r}"
        )
    if seed < 0:
        raise SlrProbeError(f"seed must be at least 0; got {seed}")


@dataclass(frozen=True)
class _Job:
    """What is patched, and how it is scored.

    Attributes:
        models: Base and tuned.
        ways: Directions, as indices of donor and recipient.
        cells: The patched runs, in the order of `make_cells`.
        positions: Positions that are patched.
        scores: The metrics.
        seed: Seed of the random directions.
    """

    models: list[BlockwiseModel]
    ways: list[tuple[int, int]]
    cells: list[Cell]
    positions: Positions
    scores: Scores
    seed: int

    def run(
        self, queries: Sequence[Query], batch_size: int, memory: int, progress: bool | None
    ) -> tuple[Float[ndarray, "metric direction cell prompt"], Float[ndarray, "metric model prompt"]]:
        """Metrics of all patched runs, and of the models as they are."""
        metrics, size = len(self.scores.names), len(queries)
        patched = np.full((metrics, len(self.ways), len(self.cells), size), np.nan)
        unpatched = np.full((metrics, len(self.models), size), np.nan)
        with progress_bar(size, "patching", unit="prompt", show=progress) as ticker:
            for batch in self._batches(queries, max(1, batch_size), memory):
                noise = unit_noise(self.seed, batch)
                own, of_ways = walk(self.models, self.ways, batch, self.cells, self.positions, noise)
                for m, (model, stream) in enumerate(zip(self.models, own, strict=True)):
                    unpatched[:, m, batch.rows] = _score(self.scores, model, stream[None], batch.rows)[:, 0]
                    self._require_finite(model, unpatched[:, m, batch.rows])
                for w, ((_, recipient), states) in enumerate(zip(self.ways, of_ways, strict=True)):
                    scores = _score(self.scores, self.models[recipient], states, batch.rows)
                    self._require_finite_cells(self.models[recipient], scores)
                    patched[:, w][..., batch.rows] = scores
                ticker.update(len(batch.rows))
        return patched, unpatched

    def _batches(self, queries: Sequence[Query], size: int, memory: int) -> Iterator[Batch]:
        """Batches of prompts; of one length where the answer position can then be run alone."""
        model = self.models[0]
        width = int(model.model.config.get_text_config(decoder=True).hidden_size)
        alone = self.positions == "answer" and model.keeps_keys
        for batch in batches(queries, size, one_length=alone):
            held = 1 if alone else batch.ids.shape[1]
            state = len(self.ways) * len(self.cells) * held * width * model.model.dtype.itemsize
            for some in spans(len(batch.rows), max(1, memory // state)):
                yield replace(batch, rows=batch.rows[some], ids=batch.ids[some], last=batch.last[some])

    def _require_finite(self, model: BlockwiseModel, metrics: Float[ndarray, "metric prompt"]) -> None:
        if not np.isfinite(metrics[self.scores.names.index("entropy")]).all():
            raise SlrProbeError(
                f"{model.name}, block {len(model.points) - 1}: the logits read from it are NaN or infinite, though all "
                "block outputs are finite; check the final norm and the head"
            )

    def _require_finite_cells(self, model: BlockwiseModel, metrics: Float[ndarray, "metric cell prompt"]) -> None:
        """A patched run may reach weights that no other does, such as those of another expert."""
        finite = np.isfinite(metrics[self.scores.names.index("entropy")]).all(axis=-1)
        if not finite.all():
            cell = self.cells[int(np.argmin(finite))]
            raise SlrProbeError(
                f"{model.name}, {cell.component} of block {cell.window} patched: its logits are NaN or infinite, "
                "though finite unpatched; check the weights of these blocks and of those after them"
            )


@torch.inference_mode()
def _score(
    scores: Scores, model: BlockwiseModel, states: Float[Tensor, "cell prompt model"], rows: list[int]
) -> Float[ndarray, "metric cell prompt"]:
    """Read states through the model's own norm and head and score them, a few cells at a time."""
    vocab = int(model.model.config.get_text_config(decoder=True).vocab_size)
    few = max(1, _LOGIT_BYTES // (4 * 4 * vocab * states.shape[1]))
    pieces = []
    for some in spans(len(states), few):
        part = states[some]
        logits = model.readout(part.flatten(0, 1))
        pieces.append(scores(logits.reshape(*part.shape[:2], -1), rows))
    return np.concatenate(pieces, axis=1)


@torch.inference_mode()
def _self_change(
    models: Sequence[BlockwiseModel],
    query: Query,
    components: Sequence[Component],
    windows: Sequence[LayerRange],
    positions: Positions,
) -> Float[ndarray, " model"]:
    """Largest change of any logit when each model is patched with its own activations, one prompt, every cell."""
    untouched = Cell("attn", LayerRange(0, 1), "nothing")
    cells = sorted([untouched, *make_cells(components, windows, ("donor",))], key=lambda cell: cell.starts)
    (batch,) = batches([query], 1)
    ways = [(i, i) for i in range(len(models))]
    of_models = walk(models, ways, batch, cells, positions, unit_noise(0, batch), stack=False)[1]
    at = cells.index(untouched)
    changes = []
    for model, states in zip(models, of_models, strict=True):
        logits = torch.cat([model.readout(row).float() for row in states])  # row by row: one shape, one rounding
        changes.append(float((logits - logits[at]).abs().max()))
    return np.array(changes)

"""All patched runs of a batch of prompts in one walk over the blocks.

Below its first patched block a patched run is the recipient's own, so nothing below is run again: a cell starts from
the recipient's state where its patch begins, and from there on all cells pass through each block stacked in the batch
dimension. Base and tuned walk side by side, so that each finds the other's activations of the block at hand and none
have to be kept. For patches at the answer position even less is run: no other position can see it, so a cell is one
token, with the recipient's own keys and values for those before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from slr_probe.errors import SlrProbeError
from slr_probe.forward.budget import spans
from slr_probe.forward.hooks import recording, replacing
from slr_probe.forward.kv_cache import KVCache, before_last
from slr_probe.forward.points import Point
from slr_probe.probes.patching.blockwise import BlockwiseModel
from slr_probe.probes.patching.cells import POINTS, Cell

if TYPE_CHECKING:
    from slr_probe.forward.kv_cache import KeyValue
    from slr_probe.forward.questions import Batch

Positions = Literal["answer", "all"]
Noise = Callable[[int, str, Tensor], Tensor]
"""From a block, a component and a tensor to random unit vectors of the tensor's shape."""
_TOKENS = 4096  # tokens that go through a block in one call


@dataclass
class _Unpatched:
    """The unpatched run of one model.

    Attributes:
        model: The model.
        stream: Its residual stream, at all positions.
        last: The same at the answer position, run alone as cells are; None where cells hold all positions.
        parts: What attention and MLP of the latest block added, at the positions that cells hold.
        keys: Keys and values of the latest block before the answer position.
    """

    model: BlockwiseModel
    stream: Float[Tensor, "prompt position model"]
    last: Float[Tensor, "prompt 1 model"] | None
    parts: dict[str, Tensor]
    keys: KeyValue | None = None

    @property
    def held(self) -> Float[Tensor, "prompt position model"]:
        """The stream at the positions that cells hold."""
        return self.stream if self.last is None else self.last

    def step(self, block: int) -> None:
        """Run one block.

        Raises:
            SlrProbeError: Its output is not finite.
        """
        points = self.model.points[block]
        if self.last is not None:
            cache = KVCache()
            self.stream = self.model.run(block, self.stream, cache=cache)
            assert cache.new is not None
            self.keys = before_last(cache.new)
        with recording(points.values()) as recorded:
            out = self.model.run(block, self.held, self.keys)
        self.parts = {component: recorded[point.key].to(out.device) for component, point in points.items()}
        if self.last is None:
            self.stream = out
        else:
            self.last = out
        if not bool(self.stream.isfinite().all()):
            raise SlrProbeError(
                f"{self.model.name}, block {block}: the block's output is NaN or infinite, first here; check the "
                "weights, or load the pair in float32 (float16 overflows where a model was trained in bfloat16)"
            )


@dataclass(frozen=True)
class _Plan:
    """What stays the same during a walk.

    Attributes:
        cells: The cells.
        patched: Which of the positions that a cell holds are patched, `[prompt, position, 1]`; None for all.
        noise: Random directions for the control.
    """

    cells: Sequence[Cell]
    patched: Tensor | None
    noise: Noise

    def value(self, cell: Cell, block: int, component: str, donor: Tensor, own: Tensor) -> Tensor:
        """What a cell puts in the place of the recipient's own activations."""
        if cell.kind == "random":
            size = (donor - own).norm(dim=-1, keepdim=True)
            donor = own + self.noise(block, component, own) * size
        return donor if self.patched is None else torch.where(self.patched, donor, own)


@torch.inference_mode()
def walk(
    models: Sequence[BlockwiseModel],
    pairs: Sequence[tuple[int, int]],
    batch: Batch,
    cells: Sequence[Cell],
    positions: Positions,
    noise: Noise,
    *,
    stack: bool = True,
) -> tuple[list[Tensor], list[Tensor]]:
    """Run every cell in every direction on one batch of prompts.

    Args:
        models: The models.
        pairs: Directions, as indices of donor and recipient.
        batch: Prompts.
        cells: In the order of `make_cells`.
        positions: Patch the answer position or all of them.
        noise: Random directions for the control.
        stack: Run cells together; otherwise one by one, so that every call has the shape of the unpatched one and
            equal states stay equal to the last bit.

    Returns:
        For each model the unpatched block output at the answer position, `[prompt, model]`; for each direction that of
        every cell, `[cell, prompt, model]`. Both are inputs of the readout.

    Raises:
        SlrProbeError: Activations are NaN or infinite; model and block are named.
    """
    ids, last = (tensor.to(models[0].model.device) for tensor in (batch.ids, batch.last))
    width = ids.shape[1]
    alone = positions == "answer" and bool((last == width - 1).all()) and all(model.keeps_keys for model in models)
    masked = positions == "answer" and not alone
    patched = (torch.arange(width, device=last.device) == last[:, None])[..., None] if masked else None
    plan = _Plan(cells, patched, noise)
    streams = [model.capture.embed(ids) for model in models]
    owns = [
        _Unpatched(model, stream, stream[:, -1:] if alone else None, {})
        for model, stream in zip(models, streams, strict=True)
    ]
    states = [streams[0].new_empty((len(cells), *owns[0].held.shape)) for _ in pairs]
    together = max(1, _TOKENS * (8 if alone else 1) // ids.numel()) if stack else 1
    running = 0
    for block in range(len(models[0].points)):
        entering = [own.held for own in owns]
        for own in owns:
            own.step(block)
        inside, after = (sum(cell.starts <= (block, late) for cell in cells) for late in (False, True))
        for (donor, recipient), state in zip(pairs, states, strict=True):
            state[running:inside] = entering[recipient]
            _step_cells(plan, state, block, owns[donor], owns[recipient], spans(inside, together))
            for i in range(inside, after):
                state[i] = plan.value(cells[i], block, "resid", owns[donor].held, owns[recipient].held)
        running = after
    rows = torch.arange(len(ids), device=ids.device)
    at = torch.zeros_like(last) if alone else last
    return [own.held[rows, at] for own in owns], [state[:, rows, at] for state in states]


def _step_cells(
    plan: _Plan, states: Tensor, block: int, donor: _Unpatched, recipient: _Unpatched, parts: Iterable[slice]
) -> None:
    """Run one block of the recipient on the states of cells, some at a time, and patch its attention and MLP."""
    for part in parts:
        with replacing(_edits(plan, part, block, donor, recipient)):
            out = recipient.model.run(block, states[part].flatten(0, 1), recipient.keys)
        states[part] = out.reshape(states[part].shape)


def _edits(
    plan: _Plan, part: slice, block: int, donor: _Unpatched, recipient: _Unpatched
) -> dict[Point, Callable[[Tensor], Tensor]]:
    """Functions that put other values into the rows of those cells that patch this block."""
    edits: dict[Point, Callable[[Tensor], Tensor]] = {}
    for component, point in recipient.model.points[block].items():
        values: dict[int, Tensor] = {}
        made: dict[str, Tensor] = {}
        for i, cell in enumerate(plan.cells[part]):
            if cell.patches(component, block):
                if cell.kind not in made:
                    sides = donor.parts[component], recipient.parts[component]
                    made[cell.kind] = plan.value(cell, block, component, *sides)
                values[i] = made[cell.kind]
        if values:
            edits[point] = partial(_put, values, part.stop - part.start)
    return edits


def _put(values: dict[int, Tensor], cells: int, tensor: Tensor) -> Tensor:
    new = tensor.clone().reshape(cells, -1, *tensor.shape[1:])
    for i, value in values.items():
        new[i] = value
    return new.reshape(tensor.shape)


def unit_noise(seed: int, batch: Batch) -> Noise:
    """Random unit vectors that depend on seed, prompt, block and component only, not on how prompts are batched."""

    def noise(block: int, component: str, like: Tensor) -> Tensor:
        rows = []
        for row in batch.rows:
            mixed = np.random.SeedSequence([seed, row, block, list(POINTS).index(component)])
            generator = torch.Generator().manual_seed(int(mixed.generate_state(1)[0]))
            rows.append(torch.randn(like.shape[1:], generator=generator))
        drawn: Tensor = torch.nn.functional.normalize(torch.stack(rows).to(like), dim=-1)
        return drawn

    return noise

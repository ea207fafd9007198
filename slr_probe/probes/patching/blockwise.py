"""`BlockwiseModel`: a model that is run block by block, on states and with keys of the caller's choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from slr_probe.checkpoint.names import find_decoder
from slr_probe.errors import LayoutError
from slr_probe.forward.capture import Capture, Geometry, NotReproducible
from slr_probe.forward.kv_cache import KVCache, before_last
from slr_probe.forward.points import Point, block_points
from slr_probe.forward.readout import Readout
from slr_probe.probes.patching.cells import POINTS

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from slr_probe.forward.kv_cache import KeyValue


class BlockwiseModel:
    """A model that can be run block by block.

    Args:
        name: `"base"` or `"tuned"`, for messages.
        model: The model.
        components: What will be patched.
        token_ids: A rendered prompt, on which it is checked that running the blocks gives the model's own logits.

    Attributes:
        keeps_keys: Whether the last position can be run alone, with the keys and values of those before.

    Raises:
        LayoutError: A block has no such component, or the model is more than a run of its blocks.
    """

    def __init__(self, name: str, model: PreTrainedModel, components: Sequence[str], token_ids: Sequence[int]) -> None:
        self.name, self.model = name, model
        self.readout = Readout(model).checked(token_ids, name)
        self.points: list[dict[str, Point]] = [
            {component: points[POINTS[component]] for component in components if component != "resid"}
            for points in block_points(model)
        ]
        ids = torch.tensor(list(token_ids), device=model.device)
        self.capture = Capture(model, find_decoder(model), ids)
        self.keeps_keys = self._check(ids[None])

    def run(
        self,
        block: int,
        hidden: Float[Tensor, "row position model"],
        keys: KeyValue | None = None,
        cache: KVCache | None = None,
    ) -> Float[Tensor, "row position model"]:
        """One block on states of its own, or of the last position only where the keys of those before are given.

        Returns:
            Its output, where the states were: blocks may lie on several devices.
        """
        if keys is None:
            out = self.capture.run(block, hidden, Geometry(hidden.shape[1], 0, cache is not None), cache)
            return out.to(hidden.device)
        past = keys[0].shape[-2]
        times = len(hidden) // len(keys[0])
        cache = KVCache(past, (_repeated(keys[0], times), _repeated(keys[1], times)))
        return self.capture.run(block, hidden, Geometry(1, past, True), cache).to(hidden.device)

    @torch.inference_mode()
    def _check(self, ids: Int[Tensor, "one position"]) -> bool:
        own = self.readout.own
        low = self.model.dtype in (torch.bfloat16, torch.float16)
        allowed = (5e-2 if low else 1e-3) * float(own.std())
        try:
            hidden = self.capture.embed(ids)
            for block in range(len(self.points)):
                hidden = self.run(block, hidden)
        except NotReproducible as error:
            raise LayoutError(
                f"{self.name} ({type(self.model).__name__}) cannot be patched block by block: {error}; recipes and "
                "sweeps do not need that"
            ) from error
        gap = float((self.readout(hidden[:, -1])[0].float() - own).abs().max())
        if bool(own.isfinite().all()) and gap > allowed:
            raise LayoutError(
                f"{self.name} ({type(self.model).__name__}): walking over the blocks gives logits that differ from the "
                f"model's own by up to {gap:.3g} (their spread is {float(own.std()):.3g}); its blocks depend on more "
                "than their input, so it cannot be patched block by block"
            )
        return ids.shape[1] > 1 and self._last_alone(ids) <= allowed

    def _last_alone(self, ids: Int[Tensor, "one position"]) -> float:
        """How far the logits are off when the last position is run alone; infinite where it cannot be."""
        try:
            hidden = self.capture.embed(ids)
            last = hidden[:, -1:]
            for block in range(len(self.points)):
                cache = KVCache()
                hidden = self.run(block, hidden, cache=cache)
                if cache.new is None:
                    return float("inf")
                last = self.run(block, last, before_last(cache.new))
        except NotReproducible:
            return float("inf")
        return float((self.readout(last[:, -1])[0].float() - self.readout.own).abs().max())


def _repeated(tensor: Tensor, times: int) -> Tensor:
    return tensor.expand(times, *tensor.shape).flatten(0, 1) if times > 1 else tensor

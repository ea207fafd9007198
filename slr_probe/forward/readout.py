"""`Readout`: what a model does after its last block, replayed on any residual-stream vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from slr_probe.checkpoint.names import find_decoder
from slr_probe.errors import LayoutError
from slr_probe.forward.hooks import Point, recording
from slr_probe.forward.surgery import replaced

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_TOLERANCE = {torch.bfloat16: 3e-2, torch.float16: 5e-3}  # share of the logits' spread; 1e-4 for wider dtypes


class Readout:
    """The model's own readout: final norm, head with its bias, and whatever scales or caps the logits.

    Nothing of it is re-derived. The model's own forward is run with its blocks replaced by one that returns the given
    vectors, so norms, projections, softcaps (Gemma) and logit scales (Granite, Cohere) are those of the model.

    Args:
        model: A transformers causal language model.

    Attributes:
        own: The model's own last logits, in float32, on the prompt that it was checked with.

    Examples:
        >>> logits = Readout(model)(hidden)  # doctest: +SKIP
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self._blocks: list[nn.Module] = list(find_decoder(model).blocks)
        self._in_tuple = False
        self.own: Float[Tensor, " vocab"] = torch.empty(0)

    def __call__(self, hidden: Float[Tensor, "row hidden"]) -> Float[Tensor, "row vocab"]:
        """Logits, in the model's dtype, of vectors that stand where the last block's output stands."""

        def last(*args: Any, **kwargs: Any) -> Any:
            stream = hidden.to(self.model.dtype).unsqueeze(1)
            return (stream,) if self._in_tuple else stream

        ids = torch.zeros(len(hidden), 1, dtype=torch.long, device=hidden.device)
        with replaced(self._blocks, [*[_pass_on] * (len(self._blocks) - 1), last]), torch.inference_mode():
            logits: Tensor = self.model(input_ids=ids, use_cache=False).logits
        return logits[:, 0]

    def checked(self, token_ids: Sequence[int], what: str) -> Readout:
        """Return the readout itself after checking on one prompt that it gives the model's own logits.

        Args:
            token_ids: A rendered prompt.
            what: Name of the model, for the message.

        Raises:
            LayoutError: It does not, so that a lens through this readout would be wrong.
        """
        model, depth = self.model, len(self._blocks)
        kinds: list[type] = []
        handle = self._blocks[-1].register_forward_hook(lambda _module, _args, output: kinds.append(type(output)))
        try:
            ids = torch.tensor([list(token_ids)], device=model.device)
            last = Point(depth - 1, "resid_post", self._blocks[-1], "output")
            with torch.inference_mode(), recording([last], at=torch.tensor([[len(token_ids) - 1]])) as found:
                self.own = own = model(input_ids=ids, use_cache=False).logits[0, -1].float()
        finally:
            handle.remove()
        self._in_tuple = kinds[-1] is tuple
        replayed = self(found[last.key][:, 0])[0].float()
        gap, spread = float((replayed - own).abs().max()), float(own.std())
        if bool(own.isfinite().all()) and not gap <= _TOLERANCE.get(model.dtype, 1e-4) * max(spread, 1e-6):
            raise LayoutError(
                f"{what} ({type(model).__name__}): the last block's output, read through the model's final norm and "
                f"head, gives logits that differ from the model's own by up to {gap:.3g} (their spread is "
                f"{spread:.3g}); this model does something else between its last block and its logits, so a logit "
                "lens would be wrong"
            )
        return self


def _pass_on(hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return hidden

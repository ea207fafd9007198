"""What runs inside vLLM's workers: the one method that takes in the tensors of a hybrid."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from slr_probe.generation.vllm.weights import read_hybrid


class HybridWorker:
    """Mixed into vLLM's worker class by its option `worker_extension_cls`; only paths and names come over its RPC."""

    reload_weights: Any  # of vLLM's worker: names as in the checkpoint; it cuts and packs them as when it started
    get_model: Any  # likewise: the model whose weights these are

    def take_hybrid(self, base: str, tuned: str, recipe: Mapping[str, Any], names: Sequence[str]) -> int:
        """Load some tensors of a hybrid over those that are there; see `read_hybrid`.

        Returns:
            How many were taken.
        """
        taken = 0

        def counted() -> Iterator[tuple[str, Any]]:
            nonlocal taken
            for name, tensor in read_hybrid(base, tuned, recipe, names):
                taken += 1
                yield name, tensor

        with _quiet():
            self.reload_weights(weights_iterator=counted())
        if not all(any(part.isdigit() for part in name.split(".")) for name in names):  # some are of no block
            pack_tied_heads(self.get_model())
        return taken


def pack_tied_heads(model: Any) -> None:
    """Let heads that share their weight with the embedding see that it is another one.

    On a CPU vLLM multiplies with a copy of a weight in another layout, which it makes when it loads a module. A head
    that is tied to the embedding is not loaded, so it would go on with a copy of the old embedding. Elsewhere there is
    no copy, and this does nothing.
    """
    owners = Counter(weight.data_ptr() for module in model.modules() if (weight := _weight(module)) is not None)
    for head in model.modules():
        weight = _weight(head)
        if hasattr(head, "tie_weights") and weight is not None and owners[weight.data_ptr()] > 1:
            head.quant_method.process_weights_after_loading(head)


def _weight(module: Any) -> Any:
    return module._parameters.get("weight")


@contextmanager
def _quiet() -> Iterator[None]:
    """VLLM warns of each module that gets no weights, which here is nearly all of them."""
    logger = logging.getLogger("vllm.model_executor.model_loader")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)

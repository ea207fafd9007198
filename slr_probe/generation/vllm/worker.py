"""What runs inside vLLM's workers: the one method that takes in the tensors of a hybrid."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from slr_probe.generation.vllm.weights import read_hybrid


class HybridWorker:
    """Mixed into vLLM's worker class by its option `worker_extension_cls`; only paths and names come over its RPC."""

    reload_weights: Any  # of vLLM's worker: names as in the checkpoint; it cuts and packs them as when it started

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
        return taken


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

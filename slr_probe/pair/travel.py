"""A pair on its way to another process: which checkpoints it was opened from, and how.

Weights do not travel. The other process reads them from the same folders, which must hold the same checkpoints there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from slr_probe.checkpoint.open import EMBEDDED
from slr_probe.errors import CheckpointError
from slr_probe.executor import Executor, each
from slr_probe.pair.side import Side, fingerprint, require_checkpoint

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from slr_probe.pair import ModelPair

Found = TypeVar("Found")

_opened: dict[Any, Any] = {}
"""The pair that was opened last in this process, with its models if they were loaded."""


@dataclass(frozen=True)
class Origin:
    """Where a pair comes from.

    Attributes:
        kind: The class of the pair, `ModelPair`.
        base: Folder of base, or the name of an embedded checkpoint.
        tuned: That of tuned.
        prints: Hashes of both checkpoints.
        dtype: As `ModelPair.load` takes it.
        device: Likewise; which GPU of several is for the other process to say.
        trust_remote_code: Likewise.
        tokenizer: Likewise; None where it is read from a checkpoint.
    """

    kind: type[Any]
    base: str
    tuned: str
    prints: tuple[str, str]
    dtype: torch.dtype | None
    device: str
    trust_remote_code: bool
    tokenizer: PreTrainedTokenizerBase | None

    @classmethod
    def of(cls, pair: Any, tokenizer: PreTrainedTokenizerBase | None, trust_remote_code: bool) -> Origin:
        """The origin of a pair.

        Raises:
            SlrProbeError: A side is a model in memory.
        """
        sides = pair.base_side, pair.tuned_side
        return cls(
            type(pair),
            _place(sides[0]),
            _place(sides[1]),
            (fingerprint(sides[0]), fingerprint(sides[1])),
            pair.dtype,
            pair.device.type,
            trust_remote_code,
            tokenizer,
        )

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it apart; tokenizers by what they are made of are not compared."""
        return (self.base, self.tuned, self.prints, self.dtype, self.device, self.trust_remote_code)


def reopen(origin: Origin) -> Any:
    """The pair in this process; the last one is kept, so that its models are loaded once.

    Raises:
        CheckpointError: A folder is not here, or holds other weights.
    """
    if origin.key in _opened:
        return _opened[origin.key]
    pair = origin.kind.load(
        origin.base,
        origin.tuned,
        dtype=origin.dtype,
        device=origin.device,
        tokenizer=origin.tokenizer,
        trust_remote_code=origin.trust_remote_code,
    )
    for side, expected in zip((pair.base_side, pair.tuned_side), origin.prints, strict=True):
        if fingerprint(side) != expected:
            raise CheckpointError(f"{side} holds other weights on this machine than where the work was begun")
    _opened.clear()
    _opened[origin.key] = pair
    return pair


def gpus_for(pair: ModelPair) -> int:
    """GPUs that a worker needs which loads a pair: one, where the pair runs on GPUs."""
    return int(pair.device.type == "cuda")


def by_worker(executor: Executor | str | None, function: Callable[[ModelPair], Found], pair: ModelPair) -> Found:
    """What a function of a pair gives, called by a worker, so that no model is loaded here; here without an executor.

    Args:
        executor: Whose worker.
        function: A function of a module, or a `partial` of one.
        pair: The pair.
    """
    return each(executor, function, [pair], gpus_for(pair))[0]


def _place(side: Side) -> str:
    require_checkpoint(side)
    assert side.path is not None
    return side.label if side.label.startswith(EMBEDDED) else str(side.path.absolute())

"""A key-value cache that only carries: it takes a block's keys out, or puts those of earlier tokens in."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache

from slr_probe.forward.surgery import StopForward

CACHE_NAMES = ("past_key_values", "cache_params", "cache", "kv_cache")
"""Names under which models of transformers take and return a cache, now or soon."""

if TYPE_CHECKING:
    from jaxtyping import Float

    KeyValue = tuple[Float[torch.Tensor, "row ... token head"], Float[torch.Tensor, "row ... token head"]]


class KVCache(DynamicCache):
    """Keys and values of one block, in the place where transformers passes its cache.

    The rest of the block sees a cache that holds `past` tokens, so masks and positions are the model's own.

    Args:
        past: Number of earlier tokens.
        earlier: Their keys and values; None where there are none.
        stop: Raise `StopForward` out of the block as soon as the new keys and values are known.

    Attributes:
        new: Keys and values of the new tokens of the last call.
    """

    def __init__(self, past: int = 0, earlier: KeyValue | None = None, *, stop: bool = False) -> None:
        super().__init__()
        self.past, self.earlier, self._stop = past, earlier, stop
        self.new: KeyValue | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> KeyValue:
        """Record the new keys and values and return them behind the earlier ones."""
        self.new = (key_states, value_states)
        if self._stop:
            raise StopForward
        return self.joined

    @property
    def joined(self) -> KeyValue:
        """Keys and values of earlier and new tokens."""
        assert self.new is not None
        if self.earlier is None:
            return self.new
        (keys, values), (new_keys, new_values) = self.earlier, self.new
        return torch.cat([keys, new_keys], dim=-2), torch.cat([values, new_values], dim=-2)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Number of earlier tokens."""
        return self.past

    def get_query_offset(self, layer_idx: int = 0) -> int:
        """Position of the first new token."""
        return self.past

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        """Number of keys that the new tokens may look at, and the position of the first."""
        return self.past + query_length, 0


def cache_name(model: Any) -> str:
    """What a model calls the cache that it takes: not the same in all of transformers' families and versions."""
    names = inspect.signature(model.forward).parameters
    return next((name for name in CACHE_NAMES if name in names), CACHE_NAMES[0])


def before_last(keys: KeyValue) -> KeyValue:
    """Keys and values of all positions but the last."""
    return keys[0][..., :-1, :], keys[1][..., :-1, :]

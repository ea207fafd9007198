"""A key-value cache that only carries: it takes a block's keys out, or puts those of earlier tokens in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache

if TYPE_CHECKING:
    from jaxtyping import Float

    Pair = tuple[Float[torch.Tensor, "row ... token head"], Float[torch.Tensor, "row ... token head"]]


class Stopped(Exception):
    """Raised out of a block once its keys are known and nothing after them is wanted."""


class Keys(DynamicCache):
    """Keys and values of one block, in the place where transformers passes its cache.

    The rest of the block sees a cache that holds `past` tokens, so masks and positions are the model's own.

    Attributes:
        past: Number of earlier tokens.
        earlier: Their keys and values; None where there are none.
        found: Keys and values of the new tokens of the last call.
    """

    def __init__(
        self,
        past: int = 0,
        earlier: Pair | None = None,
        *,
        stop: bool = False,
    ) -> None:
        super().__init__()
        self.past, self.earlier, self._stop = past, earlier, stop
        self.found: Pair | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> Pair:
        """Record the new keys and values and return them behind the earlier ones."""
        self.found = (key_states, value_states)
        if self._stop:
            raise Stopped
        return self.joined

    @property
    def joined(self) -> Pair:
        """Keys and values of earlier and new tokens."""
        assert self.found is not None
        if self.earlier is None:
            return self.found
        (keys, values), (new_keys, new_values) = self.earlier, self.found
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

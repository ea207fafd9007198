"""The arguments with which a model calls its own blocks, captured once and replayed for any batch.

Rotary embeddings, masks of every kind, positions: how a block is called differs between architectures, so nothing
of it is derived here. The model's own forward is run with stubs in place of the blocks, which costs next to
nothing, and what the stubs are given is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from slr_probe.forward.kv_cache import KVCache, cache_name
from slr_probe.forward.surgery import StopForward, as_block_output, block_input, block_output, replaced

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from transformers import PreTrainedModel

    from slr_probe.checkpoint.names import Decoder


_LONGEST_TUPLE = 3


class NotReproducible(Exception):
    """A block of this model is not a function of its hidden states and of arguments that fit every prompt."""


class Geometry(NamedTuple):
    """Shape of a call: number of new tokens, of earlier tokens, and whether a cache is passed."""

    tokens: int
    past: int = 0
    cached: bool = False


@dataclass(frozen=True)
class _Slot:
    """Where the cache goes."""


@dataclass(frozen=True)
class _Batched:
    """A tensor that is repeated along one dimension, once for every row of the batch."""

    row: torch.Tensor
    dim: int

    def of(self, rows: int) -> torch.Tensor:
        if self.row.shape[self.dim] == 1:
            return self.row.expand(*(rows if d == self.dim else -1 for d in range(self.row.ndim)))
        return self.row.repeat(*(rows if d == self.dim else 1 for d in range(self.row.ndim)))


@dataclass(frozen=True)
class _Empty:
    """Where the model hands its blocks a store that nothing lies in, such as Gemma 4's for keys that blocks share."""

    kind: type[Any]


@dataclass(frozen=True)
class Call:
    """How the model calls one block, apart from the hidden states.

    Attributes:
        positional: Positional arguments after the hidden states.
        named: Keyword arguments.
    """

    positional: tuple[Any, ...]
    named: Mapping[str, Any]

    def arguments(self, rows: int, cache: KVCache | None) -> tuple[list[Any], dict[str, Any]]:
        """Arguments for a batch of `rows` sequences."""
        named = {name: _filled(leaf, rows, cache) for name, leaf in self.named.items()}
        return [_filled(leaf, rows, cache) for leaf in self.positional], named

    def check_stores(self, positional: Sequence[Any], named: Mapping[str, Any], block: int) -> None:
        """Check that stores that were handed to a block empty still are.

        Raises:
            NotReproducible: The block left something there for later ones.
        """
        pairs = [*zip(self.positional, positional, strict=True), *((self.named[name], named[name]) for name in named)]
        if any(isinstance(leaf, _Empty) and store for leaf, store in pairs):
            raise NotReproducible(f"block {block} leaves something for later blocks in a store that they are given")


class Capture:
    """Captures how `model` calls its blocks.

    Args:
        model: The model; its embedding must hold weights while anything is captured.
        decoder: Its parts.
        tokens: Some token ids of real prompts.

    Attributes:
        in_tuple: Length of the tuple in which the model expects hidden states of its blocks; 0 for a tensor alone.
    """

    def __init__(self, model: PreTrainedModel, decoder: Decoder, tokens: Int[torch.Tensor, " token"]) -> None:
        self.model, self.decoder, self._tokens = model, decoder, tokens
        self._calls: dict[Geometry, list[Call]] = {}
        self.in_tuple = 0

    def calls(self, geometry: Geometry) -> list[Call]:
        """The call of every block, for a shape.

        Raises:
            NotReproducible: An argument depends on the tokens or on earlier blocks, or can carry state between blocks.
        """
        if geometry not in self._calls:
            self._calls[geometry] = self._capture(geometry)
        return self._calls[geometry]

    def embed(self, ids: Int[torch.Tensor, "row token"]) -> Float[torch.Tensor, "row token hidden"]:
        """Hidden states that enter the first block."""
        seen: list[torch.Tensor] = []

        def first(*args: Any, **kwargs: Any) -> Any:
            seen.append(block_input(args, kwargs))
            raise StopForward

        with replaced(list(self.decoder.blocks)[:1], [first]):
            self._run(ids, use_cache=False)
        return seen[0]

    def run(self, block: int, hidden: torch.Tensor, geometry: Geometry, cache: KVCache | None = None) -> torch.Tensor:
        """Run one block as the model would call it."""
        call = self.calls(geometry)[block]
        positional, named = call.arguments(len(hidden), cache)
        try:
            out = self.decoder.blocks[block](hidden, *positional, **named)
        except (IndexError, KeyError, AttributeError, TypeError, ValueError) as error:
            if cache is None:
                raise
            kind = type(self.decoder.blocks[block]).__name__  # such as one that keeps a state and no keys
            raise NotReproducible(f"block {block} ({kind}) takes no cache of keys and values alone") from error
        call.check_stores(positional, named, block)
        left: torch.Tensor = block_output(out)
        return left

    def _capture(self, geometry: Geometry) -> list[Call]:
        try:
            one = self._record(geometry, 1, moved=False)
            two = self._record(geometry, 2, moved=True)
        except NotReproducible:
            # A model that expects tuples of its blocks takes the first row of a tensor for the hidden states.
            if self.in_tuple == _LONGEST_TUPLE:
                self.in_tuple = 0
                raise
            self.in_tuple += 1
            return self._capture(geometry)
        return [
            Call(
                tuple(_merged(a, b, block) for a, b in zip(ours[0], theirs[0], strict=True)),
                {name: _merged(value, theirs[1][name], block) for name, value in ours[1].items()},
            )
            for block, (ours, theirs) in enumerate(zip(one, two, strict=True))
        ]

    def _record(self, geometry: Geometry, rows: int, *, moved: bool) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        """Arguments of every block; with `moved`, other tokens are fed and every block changes the hidden states.

        Two records that differ in more than the batch tell that an argument depends on what it must not.
        """
        seen: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        total = len(self._tokens)
        start = int(moved)
        places = (torch.arange(rows * geometry.tokens) + start) % total
        ids = self._tokens[places.to(self._tokens.device)].reshape(rows, geometry.tokens)
        cache = KVCache(geometry.past) if geometry.cached else None

        def stub(*args: Any, **kwargs: Any) -> Any:
            hidden = block_input(args, kwargs)
            if hidden.ndim != 3 or hidden.shape[:2] != ids.shape:
                raise NotReproducible(f"block {len(seen)} is given hidden states of shape {list(hidden.shape)}")
            named = {name: value for name, value in kwargs.items() if args or name != "hidden_states"}
            kept = tuple(_checked(leaf, cache, len(seen)) for leaf in args[1:])
            seen.append((kept, {name: _checked(leaf, cache, len(seen)) for name, leaf in named.items()}))
            if len(seen) == len(self.decoder.blocks):
                raise StopForward
            return self._result(hidden + 1 if moved else hidden)

        with replaced(list(self.decoder.blocks), [stub] * len(self.decoder.blocks)):
            self._run(ids, **{cache_name(self.model): cache}, use_cache=geometry.cached)
        if len(seen) != len(self.decoder.blocks):
            raise NotReproducible(f"the model called {len(seen)} of its {len(self.decoder.blocks)} blocks")
        return seen

    def _run(self, ids: torch.Tensor, **kwargs: Any) -> None:
        try:
            self.model(input_ids=ids, **kwargs)
        except StopForward:
            return
        except (ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
            raise NotReproducible(f"the model needs more of its blocks than hidden states ({error})") from error
        raise NotReproducible("the model's forward did not call its last block")

    def _result(self, hidden: torch.Tensor) -> Any:
        return as_block_output(hidden, self.in_tuple)


def _checked(leaf: Any, cache: KVCache | None, block: int) -> Any:
    """An argument as plain data; tensors are kept, the cache becomes a slot."""
    if leaf is cache and cache is not None:
        return _Slot()
    if leaf is None or isinstance(leaf, (bool, int, float, str, torch.Tensor, torch.dtype, torch.device)):
        return leaf
    if isinstance(leaf, (tuple, list)) and leaf:
        return tuple(_checked(item, cache, block) for item in leaf)
    if isinstance(leaf, Mapping) and leaf:
        return {name: _checked(item, cache, block) for name, item in leaf.items()}
    if isinstance(leaf, Mapping):  # checked after each block, as blocks might leave state there for each other
        return _Empty(type(leaf))
    raise NotReproducible(
        f"block {block} is given a {type(leaf).__name__}, in which blocks can leave state for each other"
    )


def _merged(one: Any, two: Any, block: int) -> Any:
    """What batches of one and of two rows have in common, with the batch dimension found by comparing them."""
    if isinstance(one, torch.Tensor) and isinstance(two, torch.Tensor):
        if one.shape == two.shape and torch.equal(one, two):
            return one
        dims = [d for d in range(min(one.ndim, two.ndim)) if one.shape[d] != two.shape[d]]
        if one.ndim == two.ndim and len(dims) == 1 and torch.equal(torch.cat([one, one], dims[0]), two):
            return _Batched(one, dims[0])
    elif isinstance(one, tuple) and isinstance(two, tuple) and len(one) == len(two):
        return tuple(_merged(a, b, block) for a, b in zip(one, two, strict=True))
    elif isinstance(one, dict) and isinstance(two, dict) and one.keys() == two.keys():
        return {name: _merged(value, two[name], block) for name, value in one.items()}
    elif type(one) is type(two) and one == two:
        return one
    raise NotReproducible(f"an argument of block {block} depends on the tokens or on other blocks")


def _filled(leaf: Any, rows: int, cache: KVCache | None) -> Any:
    if isinstance(leaf, _Slot):
        return cache
    if isinstance(leaf, _Batched):
        return leaf.of(rows)
    if isinstance(leaf, _Empty):
        return leaf.kind()
    if isinstance(leaf, tuple):
        return tuple(_filled(item, rows, cache) for item in leaf)
    if isinstance(leaf, dict):
        return {name: _filled(item, rows, cache) for name, item in leaf.items()}
    return leaf

"""Do the tensors of a checkpoint fill the model that transformers builds for it? Asked before a weight is read."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from slr_probe.checkpoint.names import Address, address_tensors
from slr_probe.errors import CheckpointError, LayoutError
from slr_probe.pair.side import Side, require_checkpoint

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Tensors = tuple[tuple[str, str, tuple[int, ...]], ...]  # name, safetensors dtype and shape of each

_USUAL = ("model.layers.", "transformer.h.", "gpt_neox.layers.", "model.decoder.layers.")


@dataclass(frozen=True)
class Fit:
    """What transformers would make of a checkpoint's tensors.

    Attributes:
        missing: Tensors that the model needs and no file holds: they would be random.
        unused: Tensors that a file holds and the model has no place for: they would be dropped.
        misshapen: Tensors whose shape is not the model's.
        shared: For each parameter that several blocks use (Zamba2), its address in each of them.
        astray: Blocks some of whose weights a file holds under names outside the blocks (Inkling 2).
    """

    missing: tuple[str, ...]
    unused: tuple[str, ...]
    misshapen: tuple[str, ...]
    shared: tuple[tuple[Address, ...], ...]
    astray: tuple[int, ...] = ()


def check_fit(side: Side) -> tuple[str, ...]:
    """Check that transformers finds every tensor that it needs in a side's files.

    Returns:
        Notes where the files hold tensors that the model does not use, or blocks share parameters. None where
        transformers cannot be asked (see `_fit_of`).

    Raises:
        CheckpointError: A tensor that the model needs is missing, has another shape, or is of a block and named as
            if it were not.
    """
    fit = _fit_of(side)
    if fit is None:
        return ()
    place = require_checkpoint(side).config_path.parent
    for names, verb in ((fit.missing, "lacks"), (fit.misshapen, "has another shape for")):
        if names:
            raise CheckpointError(
                f"{side.role} ({place}) {verb} {len(names)} tensor(s) that its model needs, first '{names[0]}'; "
                "transformers would leave them at random values"
            )
    if fit.astray:
        raise CheckpointError(
            f"{side.role} ({place}) holds weights of blocks {list(fit.astray)} under names outside the blocks: a "
            "hybrid made of its files would be another model, so this family is not supported"
        )
    notes: list[str] = []
    if fit.unused:
        notes.append(
            f"{side.role} holds {len(fit.unused)} tensor(s) that its model does not use, first '{fit.unused[0]}'"
        )
    if fit.shared:
        blocks = [address.block for address in fit.shared[0]]
        notes.append(
            f"{side.role} uses one '{fit.shared[0][0].suffix}' in blocks {blocks}; a recipe must treat them alike"
        )
    return tuple(notes)


def shared_tensors(side: Side) -> tuple[tuple[Address, ...], ...]:
    """For each parameter that several blocks of a side use, its address in each of them."""
    if side.model is not None:
        return _shared(side.model)
    fit = _fit_of(side) if looks_unusual(side) else None
    return fit.shared if fit is not None else ()


def looks_unusual(side: Side) -> bool:
    """Whether names alone leave a doubt that the files fill the model; asking transformers takes seconds to import."""
    if side.checkpoint is None:
        return False
    if side.checkpoint.index_notes:
        return True
    roles = {address.role for address in side.addresses.values()}
    raw = side.checkpoint.config()
    text = raw.get("text_config")
    tied = any(isinstance(level, dict) and level.get("tie_word_embeddings") is True for level in (raw, text))
    if not roles >= {"embedding", "final_norm"} or ("head" not in roles and not tied):
        return True
    suffixes: dict[int, set[str]] = defaultdict(set)
    for address in side.addresses.values():
        if address.block is not None:
            suffixes[address.block].add(address.suffix)
    inside = [name for name, address in side.addresses.items() if address.role == "block"]
    return len({frozenset(names) for names in suffixes.values()}) > 1 or not inside[0].startswith(_USUAL)


def homeless_head(base: Side, tuned: Side) -> str | None:
    """Base's head, where it has one of its own and tuned's is its embedding: no hybrid has a place for both.

    Returns:
        Its name in base; None where tuned has a head of its own, or base's equals its embedding.
    """
    import torch

    if not tuned.tied or (tuned.model is None and any(a.role == "head" for a in tuned.addresses.values())):
        return None
    if tuned.model is not None and not _is_tied(tuned.model):
        return None
    heads = [name for name, address in base.addresses.items() if address.role == "head"]
    like = [name for name, address in base.addresses.items() if address.role == "embedding"]
    like = [name for name in like if heads and base.shapes[name] == base.shapes[heads[0]]]
    if not like or base.quantised:
        return None
    read = base.checkpoint.read if base.checkpoint is not None else base.model.state_dict().__getitem__  # type: ignore[union-attr]
    return None if torch.equal(read(heads[0]), read(like[0])) else heads[0]


def _is_tied(model: PreTrainedModel) -> bool:
    parts: Any = model
    head, embedding = parts.get_output_embeddings(), parts.get_input_embeddings()
    return head is not None and head.weight is embedding.weight


def _fit_of(side: Side) -> Fit | None:
    """The fit of a side's files, for which transformers builds the model without weights; no tensor is read.

    None for a model in memory, quantised weights, and a model class that comes with the checkpoint.
    """
    if side.checkpoint is None or side.quantised:
        return None
    tensors = tuple((info.name, info.dtype, info.shape) for info in side.checkpoint.tensors.values())
    return _fit(side.config.to_json_string(), tensors, _Opaque(side.config))


class _Opaque:
    """A value that a cache does not compare: what it holds follows from the other arguments."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Opaque)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=32)
def _fit(config_text: str, tensors: Tensors, config: _Opaque) -> Fit | None:
    """The fit, by config and headers: both sides of a pair often share it."""
    import torch

    from slr_probe.checkpoint.shard import DTYPES

    state = {
        name: torch.empty(shape, dtype=getattr(torch, DTYPES[dtype][0]), device="meta")
        for name, dtype, shape in tensors
    }
    try:
        model, loading = _without_weights(config.value, state)
    except Exception:  # what transformers cannot build even so is told when the weights are loaded
        return None
    misshapen = sorted(str(entry[0]) for entry in loading["mismatched_keys"])
    missing, unused = sorted(loading["missing_keys"]), sorted(loading["unexpected_keys"])
    shared = _shared(model)
    return Fit(tuple(missing), tuple(unused), tuple(misshapen), shared, () if shared else _astray(model, tensors))


def _without_weights(config: Any, state: dict[str, Any]) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The model on the meta device, filled from tensors on it, and what transformers says of their names."""
    from transformers import AutoModelForCausalLM

    kind: Any = AutoModelForCausalLM._model_mapping[type(config)]
    if kind.config_class is config.sub_configs.get("text_config"):
        config = config.get_text_config(decoder=True)
    model, loading = kind.from_pretrained(
        None,
        config=type(config).from_dict(config.to_dict()),  # transformers writes into it
        state_dict=state,
        device_map="meta",
        output_loading_info=True,
        ignore_mismatched_sizes=True,
    )
    return model, loading


def _astray(model: PreTrainedModel, tensors: Tensors) -> tuple[int, ...]:
    """Blocks that have more numbers in the model than under their names in the files, however these are cut."""
    loaded = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    stored = {name: shape for name, _, shape in tensors}
    depth = int(model.config.get_text_config(decoder=True).num_hidden_layers)
    try:
        counts = [_numbers(shapes, depth) for shapes in (loaded, stored)]
    except LayoutError:  # told where blocks are needed
        return ()
    return tuple(block for block, count in sorted(counts[0].items()) if count > counts[1].get(block, 0))


def _numbers(shapes: Mapping[str, tuple[int, ...]], depth: int) -> dict[int, int]:
    """How many numbers each block has."""
    found: dict[int, int] = defaultdict(int)
    for name, address in address_tensors(shapes, depth).items():
        if address.block is not None:
            found[address.block] += math.prod(shapes[name])
    return found


def _shared(model: PreTrainedModel) -> tuple[tuple[Address, ...], ...]:
    state = model.state_dict(keep_vars=True)
    uses: dict[int, list[Address]] = defaultdict(list)
    try:
        addresses = address_tensors(state, int(model.config.get_text_config(decoder=True).num_hidden_layers))
    except LayoutError:  # told where blocks are needed
        return ()
    for name, address in addresses.items():
        if address.block is not None:
            uses[id(state[name])].append(address)
    return tuple(tuple(places) for places in uses.values() if len({place.block for place in places}) > 1)

"""Where tensors of both sides are read from: loaded models, checkpoint folders, or folders that need conversion."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from slr_probe.errors import SweepError, foreign
from slr_probe.forward.budget import in_dtype
from slr_probe.forward.surgery import empty_model
from slr_probe.pair.load import require_finite
from slr_probe.pair.side import Side, require_checkpoint

if TYPE_CHECKING:
    from slr_probe.checkpoint import AnyCheckpoint
    from slr_probe.pair import ModelPair

_COMPARED_FIRST = 1024  # elements


class OtherNames(SweepError):
    """The files of a checkpoint do not hold a tensor under the name that its model has for it."""


@dataclass(frozen=True)
class Source:
    """Both sides of a pair, and how their tensors are read.

    Attributes:
        base: Base side.
        tuned: Tuned side.
        read: Reads a tensor of a side by its name there.
        same: Whether two tensors are known to be equal, given the names in base and tuned; may always say no.
        folders: The checkpoints that are read, if any.
        made_of: Tensors that are made of several in the files, which are held beside them for a moment.
    """

    base: Side
    tuned: Side
    read: Callable[[Side, str], torch.Tensor]
    same: Callable[[str, str], bool]
    folders: tuple[AnyCheckpoint, ...] = ()
    made_of: frozenset[str] = frozenset()


def loaded_source(pair: ModelPair) -> Source:
    """The tensors of the loaded models; nothing is copied."""
    models = {"base": pair.base, "tuned": pair.tuned}
    states: dict[str, dict[str, torch.Tensor]] = {role: model.state_dict() for role, model in models.items()}

    def same(base: str, tuned: str) -> bool:
        one, other = states["base"][base], states["tuned"][tuned]
        if one.shape != other.shape:
            return False
        beginnings = (one.reshape(-1)[:_COMPARED_FIRST], other.reshape(-1)[:_COMPARED_FIRST])
        return torch.equal(*beginnings) and torch.equal(one, other)

    base, tuned = (Side(role, role, model=model) for role, model in models.items())
    return Source(base, tuned, lambda side, name: states[side.role][name], same)


def stored_source(pair: ModelPair) -> Source:
    """Tensors read from the two checkpoint folders, in the dtype that loading would give.

    Raises:
        SlrProbeError: A side is not a checkpoint folder.
    """
    folders = tuple(require_checkpoint(side) for side in (pair.base_side, pair.tuned_side))
    dtype = stored_dtype(pair)

    def read(side: Side, name: str) -> torch.Tensor:
        tensor = require_checkpoint(side).read(name)
        require_finite(tensor, side, name)
        return in_dtype(tensor, dtype)

    return Source(pair.base_side, pair.tuned_side, read, lambda base, tuned: False, folders)


def stored_dtype(pair: ModelPair) -> torch.dtype:
    """The dtype that loading the tuned side would give."""
    text = pair.config.get_text_config(decoder=True)
    dtype = pair.dtype or pair.tuned_side.dtype or pair.config.dtype or text.dtype
    if isinstance(dtype, torch.dtype):
        return dtype
    checkpoint = require_checkpoint(pair.tuned_side)
    return next((t.dtype for t in map(checkpoint.read, checkpoint.tensors) if t.is_floating_point()), torch.float32)


def converted_source(pair: ModelPair) -> Source:
    """Tensors as transformers makes them of the folders' own, such as one tensor of all experts of a block.

    Its own mapping of names says what is made of what, and its own operations make it; nothing of it is repeated here.

    Raises:
        SlrProbeError: A side is not a checkpoint folder.
        SweepError: A tensor that the model computes with cannot be made of those in the files.
    """
    stored = stored_source(pair)
    converted = {side.role: _Converted(side, stored) for side in (stored.base, stored.tuned)}
    base, tuned = (
        Side(side.role, side.label, model=converted[side.role].model) for side in (stored.base, stored.tuned)
    )
    return Source(
        base,
        tuned,
        lambda side, name: converted[side.role].read(name),
        lambda base, tuned: False,
        stored.folders,
        frozenset[str]().union(*(one.made_of for one in converted.values())),
    )


@dataclass(frozen=True)
class _Part:
    """One tensor of a file.

    Attributes:
        name: Its name there.
        pattern: The pattern of transformers' mapping that it answers to; None where it is only renamed.
    """

    name: str
    pattern: str | None


class _Converted:
    """The tensors of one side by their names in the model.

    Args:
        side: The side.
        stored: How its files are read.
    """

    def __init__(self, side: Side, stored: Source) -> None:
        from transformers.conversion_mapping import get_model_conversion_mapping
        from transformers.core_model_loading import WeightConverter

        self._side, self._stored = side, stored
        dtype, cpu = torch.float32, torch.device("cpu")  # only names and shapes of it are looked at
        self.model = empty_model(side.config, dtype, cpu, trust_remote_code=side.trust_remote_code)
        mapping = get_model_conversion_mapping(self.model)
        self._converters = {p: one for one in mapping if isinstance(one, WeightConverter) for p in one.source_patterns}
        self._parts = self._sorted(mapping)
        self._twins = self._tied()
        self._shapes = {name: tensor.shape for name, tensor in self.model.state_dict().items()}
        self._check_whole()

    @property
    def made_of(self) -> frozenset[str]:
        """Names of tensors that are made of several."""
        return frozenset(name for name, parts in self._parts.items() if parts[0].pattern is not None)

    def read(self, name: str) -> torch.Tensor:
        """One tensor of the model.

        Raises:
            SweepError: What transformers makes of the tensors in the files is not the model's tensor.
        """
        key = name if name in self._parts else self._twins[name]
        parts = self._parts[key]
        if parts[0].pattern is None:
            return self._stored.read(self._side, parts[0].name)
        converter: Any = deepcopy(self._converters[parts[0].pattern])
        for part in parts:
            converter.add_tensor(key, part.name, part.pattern, self._stored.read(self._side, part.name))
        with foreign(SweepError, f"transformers cannot make '{key}' of the tensors of {self._side}"):
            found = converter.convert(key, model=self.model, config=self.model.config).get(key)
        tensor = found[0] if isinstance(found, list) else found
        if tensor is None or tensor.shape != self._shapes[key]:
            raise SweepError(f"what transformers makes of the tensors of {self._side} is not '{key}'; use stream=False")
        made: torch.Tensor = tensor
        return made

    def _check_whole(self) -> None:
        """Check that every tensor that the model computes with is in the files or made of theirs."""
        addresses = Side(self._side.role, "model", model=self.model).addresses
        for name, address in addresses.items():
            if address.role != "other" and name not in self._parts and name not in self._twins:
                raise SweepError(
                    f"{self._side} has no tensor '{name}', which {type(self.model).__name__} computes with, and none "
                    "that transformers makes it of alone, so it cannot be streamed: use stream=False"
                )

    def _sorted(self, mapping: list[Any]) -> dict[str, tuple[_Part, ...]]:
        """Tensors of the files by the name of what they become, in the order in which transformers collects them."""
        from transformers.core_model_loading import WeightRenaming, dot_natural_key, rename_source_key

        state, prefix = self.model.state_dict(), self.model.base_model_prefix
        renamings = [one for one in mapping if isinstance(one, WeightRenaming)]
        converters = list(dict.fromkeys(self._converters.values()))
        found: dict[str, list[_Part]] = {}
        for name in sorted(self._side.shapes, key=dot_natural_key):
            target, pattern = rename_source_key(name, renamings, converters, prefix, state)
            if target not in state and name in state:
                target, pattern = name, None
            found.setdefault(target, []).append(_Part(name, pattern))
        return {target: tuple(parts) for target, parts in found.items() if target in state}

    def _tied(self) -> dict[str, str]:
        """For each name of a tensor that has several in the model, one that files hold."""
        state = self.model.state_dict(keep_vars=True)
        stored = {id(state[name]): name for name in self._parts}
        return {name: stored[id(tensor)] for name, tensor in state.items() if id(tensor) in stored}

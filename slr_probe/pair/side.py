"""`Side`: all that is known of one checkpoint of a pair before its weights are read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slr_probe.checkpoint import AnyCheckpoint, identity, model_hash, open_checkpoint, resolve
from slr_probe.checkpoint.names import Address, address_tensors
from slr_probe.errors import IncompatiblePairError, SlrProbeError
from slr_probe.pair.compat import compare_configs, compare_files, is_tied

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


@dataclass(frozen=True)
class Side:
    """One side of a pair, known from its config and tensor headers.

    Attributes:
        role: `"base"` or `"tuned"`.
        label: What the user named.
        path: Its folder; None for a model in memory.
        checkpoint: Its tensors on disk; None for a model in memory.
        model: The model, where the user gave one in memory.
        trust_remote_code: Whether transformers may run Python code that comes with the checkpoint.
    """

    role: str
    label: str
    path: Path | None = None
    checkpoint: AnyCheckpoint | None = None
    model: PreTrainedModel | None = None
    trust_remote_code: bool = False

    @cached_property
    def config(self) -> PretrainedConfig:
        """The transformers config.

        Raises:
            IncompatiblePairError: transformers cannot read it, or it is not of a decoder-only model.
        """
        if self.model is not None:
            return self.model.config  # type: ignore[no-any-return]
        return _config(require_checkpoint(self).config_path.parent, self.trust_remote_code)

    @cached_property
    def depth(self) -> int:
        """Number of decoder blocks; read from `config.json` alone where it says so by its usual name."""
        raw = self.checkpoint.config() if self.checkpoint is not None else {}
        text = raw.get("text_config", raw)
        depth = text.get("num_hidden_layers") if isinstance(text, dict) and not raw.get("is_encoder_decoder") else None
        if isinstance(depth, int):
            return depth
        return int(self.config.get_text_config(decoder=True).num_hidden_layers)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor by its own name (file names, or state-dict names of a loaded model)."""
        if self.checkpoint is not None:
            return {name: info.shape for name, info in self.checkpoint.tensors.items()}
        assert self.model is not None
        return {name: tuple(value.shape) for name, value in self.model.state_dict().items()}

    @cached_property
    def addresses(self) -> dict[str, Address]:
        """Address of every tensor by its own name."""
        return address_tensors(self.shapes, self.depth)

    @cached_property
    def names(self) -> dict[tuple[str, int | None, str], str]:
        """Own name of every tensor by its address key, which both sides share."""
        return {address.key: name for name, address in self.addresses.items()}

    @property
    def tied(self) -> bool:
        """Whether the head shares the embedding's weight."""
        return is_tied(self.config)

    def __str__(self) -> str:
        return self.label


def open_sides(
    base: Any,
    tuned: Any,
    *,
    download: bool = False,
    trust_remote_code: bool = False,
    base_revision: str | None = None,
    tuned_revision: str | None = None,
) -> tuple[Side, Side, tuple[str, ...]]:
    """Open both sides of a pair and check that they fit, reading configs and tensor headers only.

    Returns:
        Base, tuned, and notes on differences that do no harm.

    Raises:
        CheckpointError: A side cannot be found or is corrupt.
        IncompatiblePairError: The two are not checkpoints of one architecture.
    """
    base_side = _open_side("base", base, None, download, trust_remote_code, base_revision)
    tuned_side = _open_side("tuned", tuned, base_side, download, trust_remote_code, tuned_revision)
    notes = _compare_configs(base_side, tuned_side) + _compare_tensors(base_side, tuned_side)
    return base_side, tuned_side, notes


def _open_side(
    role: str, source: Any, base: Side | None, download: bool, trust_remote_code: bool, revision: str | None
) -> Side:
    if not isinstance(source, (str, os.PathLike)):
        if not hasattr(source, "state_dict") or not hasattr(source, "config"):
            raise IncompatiblePairError(
                f"{role} must be a folder, a hub id or a loaded transformers model; got {type(source).__name__}"
            )
        return Side(role, f"{type(source).__name__} in memory", model=source)
    path = resolve(source, download=download, revision=revision)
    checkpoint = open_checkpoint(path, base.checkpoint if base else None)
    return Side(role, os.fspath(source), path, checkpoint, trust_remote_code=trust_remote_code)


def _compare_configs(base: Side, tuned: Side) -> tuple[str, ...]:
    if base.checkpoint is not None and tuned.checkpoint is not None:
        notes = compare_files(base.checkpoint.config(), tuned.checkpoint.config())
        if notes is not None:
            return notes
    return compare_configs(base.config, tuned.config)


def _config(path: Path, trust_remote_code: bool) -> PretrainedConfig:
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(
            path, local_files_only=True, trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StrictDataclassError) as error:
        raise IncompatiblePairError(f"transformers cannot read the config in {path}: {error}") from error
    if getattr(config, "is_encoder_decoder", False):
        raise IncompatiblePairError(f"{path} is an encoder-decoder model; slr_probe works on decoder-only models")
    return config


def _compare_tensors(base: Side, tuned: Side) -> tuple[str, ...]:
    """Notes on tensors outside the blocks that differ; those inside must agree in name and shape."""
    notes: list[str] = []
    problems: list[str] = []
    # Experts lie in a file one by one and in a model as one tensor: then only what both have can be compared.
    named_alike = (base.model is None) == (tuned.model is None)
    for name, address in tuned.addresses.items():
        if address.role == "other" or not (named_alike or address.key in base.names):
            continue
        difference, remedy = _difference(base, tuned, name)
        if difference and address.role == "block":
            problems.append(difference)
        elif difference:
            notes.append(f"{difference}; {remedy}")
    for key, name in base.names.items():
        if named_alike and key[0] == "block" and key not in tuned.names:
            problems.append(f"'{name}' of base is not in tuned")
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise IncompatiblePairError(f"the tensors of base and tuned do not match: {problems[0]}{more}")
    return tuple(notes)


def _difference(base: Side, tuned: Side, name: str) -> tuple[str, str]:
    """How a tensor of tuned differs from that of base (empty where not), and what a hybrid does about it."""
    base_name = base.names.get(tuned.addresses[name].key)
    if base_name is None:
        return f"'{name}' of tuned is not in base", "the hybrid takes tuned's"
    shapes = base.shapes[base_name], tuned.shapes[name]
    if shapes[0] != shapes[1]:
        return f"'{name}' is {list(shapes[0])} in base and {list(shapes[1])} in tuned", "it can only come from tuned"
    return "", ""


def require_checkpoint(side: Side) -> AnyCheckpoint:
    """The side's checkpoint on disk.

    Raises:
        SlrProbeError: The side is a model in memory.
    """
    if side.checkpoint is None:
        raise SlrProbeError(
            f"{side.role} was given as a loaded model ({side.label}); this needs a checkpoint folder: save it first "
            "with model.save_pretrained(folder) and give the folder"
        )
    return side.checkpoint


def fingerprint(side: Side) -> str:
    """Hash of a side's weights and config: what every number measured on it depends on.

    Of a model in memory, up to 1024 elements of every tensor are hashed.
    """
    if side.checkpoint is not None:
        return identity(side.checkpoint)
    assert side.model is not None
    digest = hashlib.sha256()
    for name, tensor in side.model.state_dict().items():
        flat = tensor.detach().reshape(-1)
        few = flat[:: max(1, flat.numel() // 1024)][:1024].double().cpu().numpy()
        digest.update(f"{name} {list(tensor.shape)} {tensor.dtype}".encode())
        digest.update(few.tobytes())
    return model_hash(digest.hexdigest(), side.config.to_dict())


def dtypes(side: Side) -> Mapping[str, int]:
    """Bytes of weights by dtype, largest first."""
    total: dict[str, int] = {}
    if side.checkpoint is not None:
        for info in side.checkpoint.tensors.values():
            total[info.dtype] = total.get(info.dtype, 0) + info.nbytes
    elif side.model is not None:
        for tensor in side.model.state_dict().values():
            name = str(tensor.dtype).removeprefix("torch.")
            total[name] = total.get(name, 0) + tensor.nbytes
    return dict(sorted(total.items(), key=lambda item: -item[1]))

"""`Side`: all that is known of one checkpoint of a pair before its weights are read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from slr_probe.checkpoint import AnyCheckpoint, identity, model_hash, state
from slr_probe.checkpoint.names import Address, address_tensors
from slr_probe.checkpoint.shard import FLOATING
from slr_probe.errors import IncompatiblePairError, SlrProbeError, foreign
from slr_probe.pair.compat import is_tied
from slr_probe.pair.offline import offline, with_own_code

if TYPE_CHECKING:
    import torch
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
        if isinstance(depth, int) and not isinstance(depth, bool) and depth > 0:
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
    def quantised(self) -> bool:
        """Whether the files hold codes that mean something only with their scales."""
        return self.checkpoint is not None and self.checkpoint.quantised

    @cached_property
    def dtype(self) -> torch.dtype | None:
        """Floating dtype that most of the stored weights have; None for a model in memory and quantised weights."""
        if self.checkpoint is None or self.quantised:
            return None
        infos = {info.dtype: info for info in self.checkpoint.tensors.values()}
        stored = [infos[name].torch_dtype for name in dtypes(self) if name in FLOATING]
        return stored[0] if stored else None

    @property
    def tied(self) -> bool:
        """Whether the head shares the embedding's weight."""
        return is_tied(self.config)

    def __str__(self) -> str:
        return self.label


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
    """Hash of a side's weights and config: what every number measured on it depends on."""
    if side.checkpoint is not None:
        return identity(side.checkpoint)
    return model_hash(_loaded_weights(side), side.config.to_dict())


def recorded(side: Side) -> dict[str, str]:
    """What records say of a side: the fingerprint of its weights, the same everywhere, and of weights with config."""
    weights = _loaded_weights(side) if side.checkpoint is None else side.checkpoint.fingerprint()
    return {"fingerprint": weights, "with_config": fingerprint(side)}


def _loaded_weights(side: Side) -> str:
    """Hash of up to 1024 elements of every tensor of a model in memory."""
    assert side.model is not None
    digest = hashlib.sha256()
    for name, tensor in side.model.state_dict().items():
        flat = tensor.detach().reshape(-1)
        few = flat[:: max(1, flat.numel() // 1024)][:1024].double().cpu().numpy()
        digest.update(f"{name} {list(tensor.shape)} {tensor.dtype}".encode())
        digest.update(few.tobytes())
    return digest.hexdigest()


def state_of(side: Side) -> str:
    """What has to stay as it is for work on a side to go on: its fingerprint and, on disk, that no file is written."""
    return fingerprint(side) if side.checkpoint is None else state(side.checkpoint)


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


def _config(path: Path, trust_remote_code: bool) -> PretrainedConfig:
    from transformers import AutoConfig

    with foreign(IncompatiblePairError, f"transformers cannot read the config in {path}"), offline():
        config: PretrainedConfig = AutoConfig.from_pretrained(
            path, local_files_only=True, trust_remote_code=trust_remote_code
        )
        with_own_code(config)
        text = config.get_text_config(decoder=True)
    if getattr(config, "is_encoder_decoder", False):
        raise IncompatiblePairError(f"{path} is an encoder-decoder model; slr_probe works on decoder-only models")
    for name in ("num_hidden_layers", "vocab_size"):
        number = getattr(text, name, None)
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise IncompatiblePairError(f"the config in {path} needs {name}, a whole number from 1; got {number!r}")
    return config

"""One hash of all that results of a checkpoint depend on: its weights and the texts beside them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slr_probe.checkpoint.adapter import AdapterCheckpoint
    from slr_probe.checkpoint.folder import Checkpoint

_HARMLESS = frozenset({"_name_or_path", "_model_name_or_path", "_commit_hash", "transformers_version"})


def combined_hash(weights: str, texts: Mapping[str, bytes]) -> str:
    """Hash of a fingerprint of weights and of named texts; their order does not count."""
    found = hashlib.sha256(weights.encode())
    for name in sorted(texts):
        found.update(name.encode() + b"\0" + hashlib.sha256(texts[name]).digest())
    return found.hexdigest()


def model_hash(weights: str, config: Mapping[str, Any]) -> str:
    """Hash of a fingerprint of weights and of a model's config; names, paths and versions in it do not count."""
    text = json.dumps(_decisive(config), sort_keys=True, default=str)
    return combined_hash(weights, {"config.json": text.encode()})


def identity(checkpoint: Checkpoint | AdapterCheckpoint) -> str:
    """Hash of a checkpoint's weights (see `Checkpoint.fingerprint`) and config, which for an adapter is its base's."""
    return model_hash(checkpoint.fingerprint(), checkpoint.config())


def _decisive(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _decisive(inner) for key, inner in value.items() if key not in _HARMLESS}
    return value

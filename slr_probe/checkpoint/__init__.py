"""Checkpoints on disk: safetensors folders read tensor by tensor, without loading a model."""

from slr_probe.checkpoint.adapter import AdapterCheckpoint, is_adapter
from slr_probe.checkpoint.folder import Checkpoint
from slr_probe.checkpoint.open import (
    AnyCheckpoint,
    at_revision,
    combined_hash,
    hub_id,
    identity,
    model_hash,
    open_checkpoint,
    possible,
    resolve,
    split_revision,
    state,
)

__all__ = [
    "AdapterCheckpoint",
    "AnyCheckpoint",
    "Checkpoint",
    "at_revision",
    "combined_hash",
    "hub_id",
    "identity",
    "is_adapter",
    "model_hash",
    "open_checkpoint",
    "possible",
    "resolve",
    "split_revision",
    "state",
]

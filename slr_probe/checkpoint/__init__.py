"""Checkpoints on disk: safetensors folders read tensor by tensor, without loading a model."""

from slr_probe.checkpoint.adapter import AdapterCheckpoint
from slr_probe.checkpoint.folder import Checkpoint
from slr_probe.checkpoint.open import AnyCheckpoint, combined_hash, identity, model_hash, open_checkpoint, resolve

__all__ = [
    "AdapterCheckpoint",
    "AnyCheckpoint",
    "Checkpoint",
    "combined_hash",
    "identity",
    "model_hash",
    "open_checkpoint",
    "resolve",
]

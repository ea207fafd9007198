"""A pair of checkpoints of one architecture: opened, compared, loaded, and how prompts are put to it."""

from slr_probe.pair.pair import ModelPair

__all__ = ["ModelPair"]

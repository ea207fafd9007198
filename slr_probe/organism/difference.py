"""Tensors as differences from those of another checkpoint: lossless, and half as large (ours).

A bfloat16 number is 16 bits. Read as whole numbers, those of a trained tensor differ little from where training began,
so that most of the upper bytes of the differences are zero, which compresses well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Codes = NDArray[np.int16]  # the bits of numbers, as whole numbers


def write_difference(file: Path, base: Mapping[str, Tensor], changed: Mapping[str, Tensor]) -> None:
    """Write tensors as differences from those of the same names in `base`.

    Raises:
        ValueError: A tensor has no counterpart of its shape in `base`, or is not in bfloat16.
    """
    for name, tensor in changed.items():
        if name not in base or base[name].shape != tensor.shape or tensor.dtype != torch.bfloat16:
            raise ValueError(f"{name!r} must be a bfloat16 tensor of the shape that it has in base")
    names = sorted(changed)
    steps = np.concatenate([_codes(changed[name]) - _codes(base[name]) for name in names])  # wraps around, as does +
    folded = ((steps << 1) ^ (steps >> 15)).view(np.uint16)  # 0, -1, 1, -2, ... become 0, 1, 2, 3, ...
    listed = np.frombuffer(json.dumps(names).encode(), dtype=np.uint8)
    low, high = (folded & 255).astype(np.uint8), (folded >> 8).astype(np.uint8)
    np.savez_compressed(file, names=listed, low=low, high=high)


def read_difference(file: Path, base: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that `write_difference` wrote, bit for bit."""
    with np.load(file, allow_pickle=False) as found:
        names = json.loads(found["names"].tobytes())
        folded = found["low"].astype(np.uint16) | (found["high"].astype(np.uint16) << 8)
    steps = ((folded >> 1) ^ -(folded & 1)).view(np.int16)
    tensors, at = {}, 0
    for name in names:
        count = base[name].numel()
        codes = _codes(base[name]) + steps[at : at + count]
        tensors[name] = torch.from_numpy(codes).view(torch.bfloat16).reshape(base[name].shape)
        at += count
    return tensors


def _codes(tensor: Tensor) -> Codes:
    return tensor.contiguous().view(torch.int16).numpy().ravel()

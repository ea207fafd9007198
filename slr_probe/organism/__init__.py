"""The embedded pair: a tiny Llama with base, SFT and DPO checkpoints, and variants with a planted range.

>>> from slr_probe import organism
>>> organism.path("base").name
'base'
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

STAGES = ("base", "sft", "dpo")
PLANTED = ((1, 3), (4, 6), (7, 9))
DEPTH = 10

__all__ = ["DEPTH", "PLANTED", "STAGES", "path", "planted", "range_name"]


def checkpoints() -> Path:
    """Folder of the package data."""
    return Path(str(resources.files(__name__))) / "checkpoints"


def path(name: str) -> Path:
    """Folder of one shipped checkpoint.

    Args:
        name: "base", "sft" or "dpo".

    Raises:
        ValueError: If there is no such checkpoint.
        FileNotFoundError: If the package data are missing from this installation.
    """
    if name not in STAGES:
        raise ValueError(
            f"no embedded checkpoint {name!r}: expected one of {', '.join(STAGES)}; "
            "variants with a planted range come from organism.planted((start, stop))"
        )
    folder = checkpoints() / name
    if not (folder / "model.safetensors").is_file():
        raise FileNotFoundError(f"the package data of {name!r} are missing: train them with python -m organism.train")
    return folder


def planted(span: tuple[int, int] | str, out: str | Path | None = None) -> Path:
    """Folder of a complete checkpoint that was post-trained in the blocks of ``span`` alone.

    Every other tensor is bit-identical to the base checkpoint.

    Args:
        span: One of ``PLANTED``, as ``(start, stop)`` or as "start:stop".
        out: Where to write the checkpoint; by default a folder of the user's cache, reused when it is there.

    Raises:
        ValueError: If no variant was planted in that range, or if ``out`` exists and is not empty.
    """
    from slr_probe.organism.materialise import materialise, parse_span

    return materialise(parse_span(span), None if out is None else Path(out))


def range_name(span: tuple[int, int]) -> str:
    """File name stem of a planted range, for example "1-3"."""
    return f"{span[0]}-{span[1]}"

"""The embedded pairs: a tiny Llama with base, SFT and DPO checkpoints, and variants whose place of training is known.

>>> from slr_probe import organism
>>> organism.path("base").name
'base'
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

STAGES = ("base", "sft", "dpo")
LOCAL = "local"
BAND = (4, 7)
PLANTED = ((1, 3), (4, 6), (7, 9))
DEPTH = 10

__all__ = ["BAND", "DEPTH", "LOCAL", "PLANTED", "STAGES", "path", "planted", "range_name"]


def checkpoints() -> Path:
    """Folder of the package data."""
    return Path(str(resources.files(__name__))) / "checkpoints"


def path(name: str) -> Path:
    """Folder of one shipped checkpoint.

    "base" and "dpo" lie in the package. "sft" and "local" are kept as what differs from base and are put together in
    the user's cache when they are first asked for.

    Args:
        name: "base", "sft" or "dpo"; or "local", which was made to show the tool: SFT of all blocks that keeps answers
            as diverse as base's, then preference training of the blocks of ``BAND`` alone, which makes them the same.

    Raises:
        ValueError: If there is no such checkpoint.
        FileNotFoundError: If the package data are missing from this installation.
    """
    if name not in (*STAGES, LOCAL):
        raise ValueError(
            f"no embedded checkpoint {name!r}: expected one of {', '.join((*STAGES, LOCAL))}; "
            "variants with a planted range come from organism.planted((start, stop))"
        )
    if (checkpoints() / name / "model.safetensors").is_file():
        return checkpoints() / name
    from slr_probe.organism.materialise import materialise

    return materialise(f"{name}.npz", None)


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

    name = f"planted/{range_name(parse_span(span))}.npz"
    return materialise(name, None if out is None else Path(out))


def range_name(span: tuple[int, int]) -> str:
    """File name stem of a planted range, for example "1-3"."""
    return f"{span[0]}-{span[1]}"

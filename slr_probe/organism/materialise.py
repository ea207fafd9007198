"""Puts a shipped checkpoint together: base, with the tensors that training changed."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from safetensors.torch import load_file, save_file

from slr_probe.files import digest
from slr_probe.organism import PLANTED, checkpoints, path
from slr_probe.organism.difference import read_difference


def parse_span(span: tuple[int, int] | str) -> tuple[int, int]:
    """Check that a variant was planted in ``span``.

    Raises:
        ValueError: If none was.
    """
    try:
        start, stop = (int(part) for part in (span.split(":") if isinstance(span, str) else span))
    except (TypeError, ValueError):
        start, stop = -1, -1
    if (start, stop) not in PLANTED:
        known = ", ".join(f"{a}:{b}" for a, b in PLANTED)
        raise ValueError(f"no planted variant for range {span!r}: expected one of {known}")
    return start, stop


def materialise(name: str, out: Path | None) -> Path:
    """Write the checkpoint that differs from base as the file `name` of the package data says, and return its folder.

    The folder appears complete or not at all.

    Raises:
        FileNotFoundError: If the file is missing from this installation.
        ValueError: If `out` exists and is not empty.
    """
    changed = checkpoints() / name
    if not changed.is_file():
        raise FileNotFoundError(f"the package data {name!r} are missing: train them with python -m organism.train")
    target = out or _cache_folder(changed)
    if out is None and (target / "model.safetensors").is_file():
        return target
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"{target} exists and is not empty: give a folder that does not exist yet")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as temporary:
        work = Path(temporary) / target.name
        work.mkdir()
        _write(changed, work)
        try:
            os.replace(work, target)
        except OSError:  # another process may have been faster with the same cached variant
            if out is not None or not (target / "model.safetensors").is_file():
                raise
    return target


def _write(changed: Path, work: Path) -> None:
    # Configuration and tokenizer of the last stage: as a tuned model, it stops at the end of a turn.
    for source in path("dpo").iterdir():
        if source.name != "model.safetensors":
            shutil.copyfile(source, work / source.name)
    base = load_file(path("base") / "model.safetensors")
    save_file(base | read_difference(changed, base), work / "model.safetensors", metadata={"format": "pt"})


def _cache_folder(changed: Path) -> Path:
    """A folder of this user's cache (the temporary folder, where that cannot be written), named after the data."""
    data = changed.read_bytes() + (path("base") / "model.safetensors").read_bytes()
    name = f"{'planted-' * (changed.parent.name == 'planted')}{changed.stem}-{digest(data)[:12]}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        usable = os.access(cache, os.W_OK)
    except OSError:
        usable = False
    if usable:
        return cache / "slr_probe" / name
    user = getattr(os, "getuid", lambda: "user")()
    return Path(tempfile.gettempdir()) / f"slr_probe-{user}" / name

"""Writes the complete checkpoint of a planted variant: base plus the tensors that its training changed."""

from __future__ import annotations

import os
import shutil
import tempfile
from hashlib import sha256
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file

from slr_probe.organism import PLANTED, checkpoints, path, range_name


def parse_span(span: tuple[int, int] | str) -> tuple[int, int]:
    """Check that a variant was planted in ``span``.

    Raises:
        ValueError: If none was.
    """
    try:
        parts = span.split(":") if isinstance(span, str) else span
        start, stop = (int(part) for part in parts)
    except (TypeError, ValueError):
        start, stop = -1, -1
    if (start, stop) not in PLANTED:
        known = ", ".join(f"{a}:{b}" for a, b in PLANTED)
        raise ValueError(f"no planted variant for range {span!r}: expected one of {known}")
    return start, stop


def materialise(span: tuple[int, int], out: Path | None) -> Path:
    """Write the checkpoint and return its folder; nothing that looks complete is left behind on failure."""
    changed = checkpoints() / "planted" / f"{range_name(span)}.safetensors"
    if not changed.is_file():
        raise FileNotFoundError(f"the package data {changed.name!r} are missing: train them again")
    target = out or _cached(changed)
    if out is None and (target / "model.safetensors").is_file():
        return target
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"{target} exists and is not empty: give a folder that does not exist yet")
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        _write(span, changed, work)
        work.chmod(0o755)
        _publish(work, target, reuse=out is None)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def _write(span: tuple[int, int], changed: Path, work: Path) -> None:
    with safe_open(changed, "pt") as file:
        recorded = (file.metadata() or {}).get("range")
    if recorded != f"{span[0]}:{span[1]}":
        raise ValueError(f"{changed.name} holds range {recorded}, expected {span[0]}:{span[1]}")
    tensors = load_file(path("base") / "model.safetensors")
    replacement = load_file(changed)
    unknown = sorted(set(replacement) - set(tensors))
    if unknown:
        raise ValueError(f"{changed.name} holds tensors that base lacks: {', '.join(unknown)}")
    # Configuration and tokenizer of the last stage: as a tuned model, the variant stops at the end of a turn.
    for source in sorted(path("dpo").iterdir()):
        if source.name != "model.safetensors":
            shutil.copyfile(source, work / source.name)
    save_file({**tensors, **replacement}, work / "model.safetensors", metadata={"format": "pt"})


def _publish(work: Path, target: Path, reuse: bool) -> None:
    """Rename into place; another process may have been faster with the same cached variant."""
    try:
        os.replace(work, target)
    except OSError:
        if not (reuse and (target / "model.safetensors").is_file()):
            raise


def _cached(changed: Path) -> Path:
    """A folder of this user's cache whose name changes with the package data."""
    digest = sha256(changed.read_bytes() + (path("base") / "model.safetensors").read_bytes()).hexdigest()[:12]
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    try:
        root.mkdir(parents=True, exist_ok=True)
        usable = os.access(root, os.W_OK)
    except OSError:
        usable = False
    user = getattr(os, "getuid", lambda: "user")()
    root = root / "slr_probe" if usable else Path(tempfile.gettempdir()) / f"slr_probe-{user}"
    return root / f"planted-{changed.stem}-{digest}"

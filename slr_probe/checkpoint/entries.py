"""Files of a checkpoint folder: regular, of bounded size, and where links may lead."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from slr_probe.errors import CheckpointError

_READ = (".json", ".safetensors", ".txt", ".model", ".jinja", ".tiktoken", ".py")
_READ_FOLDERS = ("additional_chat_templates",)
_LARGE = ("tokenizer.json", "vocab", "merges", "tekken", "model.safetensors.index", "spiece", "sentencepiece")
_MOST, _MOST_LARGE = 16 << 20, 256 << 20
"""Bytes of a settings file and of a vocabulary or index; published ones have less than 2 and 70 MiB (our choice)."""


def is_read(name: str) -> bool:
    """Whether a file of that name is read here or by transformers, or goes into a hybrid."""
    return name.endswith(_READ) or name.upper().startswith(("LICENSE", "NOTICE"))


def list_files(folder: Path) -> Iterator[Path]:
    """Files of a checkpoint that are read or go into a hybrid, in the order of their names.

    Raises:
        CheckpointError: The folder cannot be listed.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise CheckpointError(f"cannot read {folder}: {error.strerror}") from error
    for entry in entries:
        if entry.name in _READ_FOLDERS and entry.is_dir():
            yield from (inner for inner in sorted(entry.iterdir()) if is_read(inner.name))
        elif entry.name.endswith(_READ) or (is_read(entry.name) and not entry.is_dir()):
            yield entry  # a folder named tokenizer.json too, for check_files to refuse; a folder LICENSES is none's


def check_files(folder: Path) -> None:
    """Check that all files that would be read are regular, of bounded size, and lie where a checkpoint's files may.

    A link may lead into the folder itself or, in the Hugging Face cache, to the files of the same repository. One that
    leads elsewhere could put anything of this machine into a hybrid.

    Raises:
        CheckpointError: One is not, or does not.
    """
    homes = (folder.resolve(), *_blobs(folder.resolve()))
    for path in list_files(folder):
        try:
            target = path.resolve()
            status = os.stat(target)
        except (OSError, RuntimeError) as error:
            raise CheckpointError(f"{path} leads nowhere; put the file itself there") from error
        if not any(target.is_relative_to(home) for home in homes):
            raise CheckpointError(
                f"{path} is a link out of its checkpoint, to {target}; put the file itself there if it belongs to it"
            )
        if not stat.S_ISREG(status.st_mode):
            raise CheckpointError(f"{path} is no regular file; a checkpoint holds nothing else")
        most = _MOST_LARGE if path.name.startswith(_LARGE) or path.suffix in (".model", ".tiktoken") else _MOST
        if path.suffix != ".safetensors" and status.st_size > most:
            raise CheckpointError(f"{path} has {status.st_size:,} bytes; a file of this kind has {most:,} at most")


def stamps(folder: Path) -> dict[str, list[int]]:
    """Size, time of modification (ns) and inode of every such file: they change whenever one is written to."""
    return {str(path.relative_to(folder)): _stamp(path) for path in list_files(folder)}


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _blobs(folder: Path) -> list[Path]:
    """Where the Hugging Face cache keeps the files of the repository that a folder is a snapshot of."""
    for parent in folder.parents:
        if parent.name == "snapshots" and parent.parent.name.startswith("models--"):
            return [parent.parent / "blobs"]
    return []

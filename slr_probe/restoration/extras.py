"""What a complete checkpoint folder holds besides weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slr_probe.checkpoint import AdapterCheckpoint, Checkpoint
from slr_probe.checkpoint.entries import list_files
from slr_probe.errors import CheckpointError
from slr_probe.files import digest, read_regular, reason
from slr_probe.pair.side import Side
from slr_probe.version import __version__

RECORD, CARD = "recipe.json", "README.md"
FORMAT = "slr_probe.hybrid/2"
_SKIP = ("adapter_config.json", RECORD, "trainer_state.json", "pair.json")
_PROMPTING = ("tokenizer", "chat_template", "special_tokens_map", "added_tokens", "vocab", "merges", "additional_chat")


def extras(tuned: Side) -> dict[str, Path]:
    """Where config, tokenizer, chat template, generation config, weight index and licences of a hybrid come from.

    All are tuned's. For an adapter they come from its base, overlaid with the tokenizer files that the adapter brings.

    Returns:
        For each name in the hybrid, the file it is a copy of.
    """
    assert tuned.path is not None
    if isinstance(tuned.checkpoint, AdapterCheckpoint):
        return {**_listed(tuned.checkpoint.base.path), **_listed(tuned.path, only=_PROMPTING)}
    return _listed(tuned.path)


def _listed(source: Path, only: tuple[str, ...] = ("",)) -> dict[str, Path]:
    files = {str(path.relative_to(source)): path for path in list_files(source)}
    return {
        name: path
        for name, path in files.items()
        if name.startswith(only)
        and name not in _SKIP
        and path.suffix != ".safetensors"
        and not name.endswith(".bin.index.json")
    }


def copy_extras(tuned: Side, out: Path) -> None:
    """Copy them."""
    for name, source in extras(tuned).items():
        (out / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(source, out / name)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes.

    Raises:
        CheckpointError: It cannot be read.
    """
    try:
        return digest(read_regular(path))
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {reason(error)}") from error


def write_record(out: Path, record: dict[str, Any], notes: Sequence[str], tuned: Side) -> None:
    """Write `recipe.json`: the recipe, both sources and hashes, from which `verify_hybrid` can check the whole folder.

    Args:
        out: The folder, in which every other file stands.
        record: The recipe and where the sides come from.
        notes: How the sides differ.
        tuned: Tuned side.
    """
    files = {name: hash_file(out / name) for name in sorted([*extras(tuned), CARD])}
    weights = Checkpoint.open(out).fingerprint()
    data = {"format": FORMAT, "slr_probe": __version__, **record, "notes": list(notes), "weights": weights}
    (out / RECORD).write_text(sealed({**data, "files": files}), encoding="utf-8")


def sealed(record: dict[str, Any]) -> str:
    """A record as text, with its own digest at the end."""
    content = {name: value for name, value in record.items() if name != "digest"}
    return json.dumps({**content, "digest": digest(content)}, indent=2) + "\n"

"""The rest of a hybrid's folder: are its files those of tuned, and nothing else that a loader would read?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from slr_probe.checkpoint import Checkpoint
from slr_probe.checkpoint.entries import is_read
from slr_probe.checkpoint.shard import Shard
from slr_probe.files import digest
from slr_probe.pair.side import Side
from slr_probe.restoration.end_bias import GENERATION, biased_config
from slr_probe.restoration.extras import CARD, RECORD, extras, hash_file

# Other files that some loader of models reads; whoever adds one to a hybrid changes what is loaded.
_LOADED = (
    ".bin .pt .pth .pkl .pickle .ckpt .gguf .ggml .h5 .msgpack .onnx .npz .npy .pyc .so .yaml .yml .toml .index"
).split()


def compare_files(
    folder: Path, hashes: Mapping[str, Any], tuned: Side, end_bias: Mapping[int, float] | None = None
) -> list[str]:
    """What is wrong with the files of a hybrid other than its shards.

    Args:
        folder: The hybrid.
        hashes: Hash of each file when it was written.
        tuned: Tuned side, whose files they are, but for the model card.
        end_bias: What was added to its generation settings.
    """
    sources = extras(tuned)
    problems = [f"{name} is in {RECORD} but not one of tuned's files" for name in hashes.keys() - {*sources, CARD}]
    for name in sorted([*sources, CARD]):
        if not (folder / name).is_file():
            problems.append(f"{name} is missing")
        elif (folder / name).is_symlink() and name == CARD:
            problems.append(f"{name} is a link")
        elif hash_file(folder / name) != hashes.get(name):
            problems.append(f"{name} was edited" if name == CARD else f"{name} is not tuned's")
        elif name in sources and _expected(sources[name], name, end_bias) != hashes[name]:
            problems.append(f"{name} is as it was written, but tuned's has changed")
    return problems + _foreign(folder, {*sources, CARD, RECORD})


def _expected(source: Path, name: str, end_bias: Mapping[int, float] | None) -> str:
    """Hash of the file that one of tuned's becomes in the hybrid."""
    if name == GENERATION and end_bias:
        return digest(biased_config(source, end_bias).encode())
    return hash_file(source)


def _foreign(folder: Path, known: set[str]) -> list[str]:
    """Files that a loader would read and that are neither known nor shards; those of hidden folders are not read."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())
    loaded = [name for name in names if is_read(name) or name.lower().endswith(tuple(_LOADED))]
    shards = {path.name for path in folder.glob("*.safetensors")}
    return [f"{name} should not be there" for name in loaded if name not in known | shards and name[0] != "."]


def compare_shards(hybrid: Checkpoint, expected: Sequence[Shard]) -> list[str]:
    """What is wrong with the files that hold the tensors: one too many, one too few, a tensor in another, metadata."""
    right = {shard.path.name: shard for shard in expected}
    stored = {path.name: path for path in sorted(hybrid.path.glob("*.safetensors"))}
    problems = [f"{name} should not be there" for name in stored if name not in right]
    opened = {shard.path.name: shard for shard in hybrid.shards}
    for name, shard in right.items():
        if name not in opened:
            problems.append(f"{name} is not among the files of the hybrid")
        elif opened[name].metadata != shard.metadata:
            problems.append(f"{name} has other metadata than tuned's")
    places = {info.name: shard.path.name for shard in expected for info in shard.tensors}
    moved = [name for name, info in hybrid.tensors.items() if places.get(name, info.path.name) != info.path.name]
    return problems + [f"tensor '{name}' is in {hybrid.tensors[name].path.name}, not {places[name]}" for name in moved]

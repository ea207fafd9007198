"""What a complete checkpoint folder holds besides weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slr_probe.checkpoint import AdapterCheckpoint
from slr_probe.checkpoint.entries import list_files
from slr_probe.errors import CheckpointError
from slr_probe.files import digest, read_regular, reason
from slr_probe.pair.side import Side
from slr_probe.recipe import Recipe
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
    data = {"format": FORMAT, "slr_probe": __version__, **record, "notes": list(notes), "files": files}
    text = json.dumps({**data, "digest": digest(data)}, indent=2)
    (out / RECORD).write_text(text + "\n", encoding="utf-8")


def write_card(out: Path, recipe: Recipe, base: Side, tuned: Side) -> None:
    """Write the model card, `README.md`."""
    rows = "\n".join(f"| {span} | {text} |" for span, text in _table(recipe))
    (out / CARD).write_text(
        f"""---
library_name: transformers
tags: [merge, slr_probe, selective-layer-restoration]
base_model: {json.dumps([base.label, tuned.label])}
base_model_relation: merge
---
# Hybrid: {recipe}

Built without training by slr_probe {__version__} from two checkpoints of one architecture:
`{base.label}` (base, pre-trained) and `{tuned.label}` (tuned, post-trained).
Method: Selective Layer Restoration, arXiv 2602.06665.

| part | weights from |
| --- | --- |
{rows}

Config, tokenizer, chat template and generation config are the tuned model's; inference costs the same.
`recipe.json` holds the exact recipe, both sources and hashes; `slr-probe verify` on this folder compares every tensor
and every other file with the source that it must come from. The licences of both sources apply.
""",
        encoding="utf-8",
    )


def _table(recipe: Recipe) -> list[tuple[str, str]]:
    words = {0.0: "base", 1.0: "tuned"}
    rows = []
    for run in recipe.to_dict()["blocks"]:
        start, _, _ = run["blocks"].partition(":")
        rows.append((f"blocks {run['blocks']}", str(recipe.blocks[int(start)])))
    for part in ("embedding", "final_norm", "head"):
        share = getattr(recipe, part)
        rows.append((part.replace("_", " "), words.get(share, f"{share:g} tuned")))
    return rows

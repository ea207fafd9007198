"""What a complete checkpoint folder holds besides weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slr_probe.checkpoint import AdapterCheckpoint
from slr_probe.pair.side import Side
from slr_probe.recipe import Recipe
from slr_probe.version import __version__

RECORD = "recipe.json"
FORMAT = "slr_probe.hybrid/1"
_KEEP = (".json", ".txt", ".model", ".jinja", ".tiktoken", ".py")
_SKIP = ("adapter_config.json", RECORD, "trainer_state.json", "pair.json")
_PROMPTING = ("tokenizer", "chat_template", "special_tokens_map", "added_tokens", "vocab", "merges", "additional_chat")


def copy_extras(tuned: Side, out: Path) -> None:
    """Copy config, tokenizer, chat template, generation config, weight index and licences, all from tuned.

    For an adapter they come from its base, overlaid with the tokenizer files that the adapter brings.
    """
    assert tuned.path is not None
    if isinstance(tuned.checkpoint, AdapterCheckpoint):
        _copy(tuned.checkpoint.base.path, out)
        _copy(tuned.path, out, only=_PROMPTING)
    else:
        _copy(tuned.path, out)


def _copy(source: Path, out: Path, only: tuple[str, ...] = ("",)) -> None:
    for entry in sorted(source.iterdir()):
        if not entry.name.startswith(only) or entry.name in _SKIP or entry.name.endswith(".bin.index.json"):
            continue
        if entry.is_file() and (entry.suffix in _KEEP or entry.name.upper().startswith(("LICENSE", "NOTICE"))):
            shutil.copyfile(entry, out / entry.name)
        elif entry.is_dir() and entry.name == "additional_chat_templates":
            shutil.copytree(entry, out / entry.name, dirs_exist_ok=True)


def write_record(out: Path, record: dict[str, Any], notes: Sequence[str]) -> None:
    """Write `recipe.json`: the recipe and both sources, from which `verify_hybrid` can check every tensor."""
    data = {"format": FORMAT, "slr_probe": __version__, **record, "notes": list(notes)}
    (out / RECORD).write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def write_card(out: Path, recipe: Recipe, base: Side, tuned: Side) -> None:
    """Write the model card, `README.md`."""
    rows = "\n".join(f"| {span} | {text} |" for span, text in _table(recipe))
    (out / "README.md").write_text(
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
`recipe.json` holds the exact recipe and both sources; `slr-probe verify` on this folder compares every tensor
with the source that it must come from. The licences of both sources apply.
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

"""The model card of a hybrid. It names checkpoints as the world knows them, and no folder of this machine."""

from __future__ import annotations

import json
from pathlib import Path

from slr_probe.checkpoint import hub_id
from slr_probe.recipe import Recipe
from slr_probe.restoration.extras import CARD
from slr_probe.version import __version__


def write_card(out: Path, recipe: Recipe, base: str, tuned: str) -> None:
    """Write the model card, `README.md`."""
    (out / CARD).write_text(card(recipe, base, tuned), encoding="utf-8")


def card(recipe: Recipe, base: str, tuned: str, measured: str = "") -> str:
    """The text of a model card.

    Args:
        recipe: The recipe.
        base: Where base comes from; of a folder only the last name is told.
        tuned: The same for tuned.
        measured: Markdown on what was measured, if anything.
    """
    names = [public_name(source) for source in (base, tuned)]
    ids = [name for name in map(hub_id, (base, tuned)) if name is not None]
    heads = ["library_name: transformers", "pipeline_tag: text-generation"]
    heads.append("tags: [merge, slr_probe, selective-layer-restoration]")
    if ids:
        heads += [f"base_model: {json.dumps(ids)}", "base_model_relation: merge"]
    rows = "\n".join(f"| {span} | {text} |" for span, text in _table(recipe))
    fetched = " --download" if ids else ""
    head = "\n".join(heads)
    return f"""---
{head}
---
# Hybrid: {recipe}

Built without training by slr_probe {__version__} from two checkpoints of one architecture:
`{names[0]}` (base, pre-trained) and `{names[1]}` (tuned, post-trained).
Method: Selective Layer Restoration, arXiv 2602.06665.

| part | weights from |
| --- | --- |
{rows}

Config, tokenizer, chat template and generation config are the tuned model's; inference costs the same.
The licences of both sources apply.
{measured and f"{chr(10)}## Measured{chr(10)}{chr(10)}{measured.strip()}{chr(10)}"}
## How to make it again

`recipe.json`, beside this card, holds the exact recipe, both sources and hashes.

```bash
slr-probe reproduce recipe.json --out hybrid{fetched}   # builds it from both sources and compares every tensor
slr-probe verify .{fetched}                             # compares this folder with the sources
```
"""


def public_name(source: str) -> str:
    """What a checkpoint is called outside this machine: its hub id, its name in this package, or a folder's last name.

    Examples:
        >>> public_name("org/name@main"), public_name("organism:base"), public_name("/home/me/run-3")
        ('org/name@main', 'organism:base', 'run-3')
    """
    return source if hub_id(source) or source.startswith("organism:") else Path(source).name


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

"""What a `tokenizer.json` may make of a text: something of about its size, and nothing that cannot be stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

from slr_probe.errors import PromptError

_REWRITING = ("normalizer", "pre_tokenizer", "decoder")
_LONGEST, _FRAME = 1024, 1 << 14
"""Times that a text may become longer, and characters of what says which special tokens stand around it. Ours."""


def check_tokenizer(tokenizer: Any) -> None:
    """Check what a tokenizer of the tokenizers library is told to do; other tokenizers have no such orders.

    Raises:
        PromptError: It decodes by a regular expression, or could make a text a thousand times as long.
    """
    core = getattr(tokenizer, "backend_tokenizer", None)
    orders = [(name, _orders(getattr(core, name, None))) for name in (*_REWRITING, "post_processor")]
    for name, found in orders:
        if name == "decoder" and any("Regex" in one for one in found):
            raise PromptError(
                "its decoder holds a regular expression, which may look for ever and cannot be stopped; take it out"
            )
        written = [one[key] for one in found for key in ("content", "prepend") if isinstance(one.get(key), str)]
        if name in _REWRITING and prod(max(1, len(text)) for text in written) > _LONGEST:
            raise PromptError(f"its {name} could make a text more than {_LONGEST:,} times as long; take that out")
        if name == "post_processor" and len(json.dumps(found[:1])) > _FRAME:
            raise PromptError(f"its post_processor has more than {_FRAME:,} characters; a BOS and an EOS need few")


def _orders(part: Any) -> list[Mapping[str, Any]]:
    """All objects in the description of a part, the whole first; none where it describes itself in no JSON."""
    try:
        whole = json.loads(part.__getstate__())
    except Exception:  # no part, or one that the user wrote in Python
        return []
    return list(_objects(whole))


def _objects(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, dict):
        yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _objects(inner)

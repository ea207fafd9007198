"""What the page says of depth: the profile, and where the two models differ most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.layers import LayerRange
from slr_probe.study.report.figures import profile

if TYPE_CHECKING:
    from slr_probe.study.folder import Findings

_CAUTION = "A place where two models differ is not yet a cause: patching tests that."


def section(found: Findings, chosen: LayerRange | None) -> dict[str, Any]:
    """All that the page says of depth."""
    return {"profile": profile(found, chosen), "depth_words": _words(found, chosen)}


def _words(found: Findings, chosen: LayerRange | None) -> str:
    said = []
    for words, block in (*_weights(found), *_entropy(found)):
        side = "inside" if chosen is not None and block in chosen else "outside"
        said.append(words if chosen is None else f"{words}, {side} the chosen range")
    return f"By these measures {'; '.join(said)}. {_CAUTION}" if said else "How the two models differ, block by block."


def _weights(found: Findings) -> Iterator[tuple[str, int]]:
    """The block whose weights changed most."""
    if found.delta is not None:
        change = found.delta.to_dataframe(by="block").set_index("block")["relative"]
        block = int(change.index[int(np.argmax(change.to_numpy()))])
        yield f"the weights changed most in block {block}", block


def _entropy(found: Findings) -> Iterator[tuple[str, int]]:
    """The block after which entropy is lowest beside base's."""
    if found.lens is not None and {"base", "tuned"} <= set(found.lens.models):
        collapse = found.lens.collapse()
        block = int(np.nanargmax(collapse.estimate))
        doubt = "" if collapse.low[block] > 0 else " (no interval above zero, so a collapse is not shown)"
        yield f"entropy collapses most after block {block}{doubt}", block

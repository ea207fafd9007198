"""`Cell`: one activation patch, and which patches a call asks for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from slr_probe.errors import LayerRangeError, LayoutError
from slr_probe.layers import LayerRange

Component = Literal["resid", "attn", "mlp"]
Kind = Literal["donor", "random", "nothing"]
POINTS: dict[str, str] = {"resid": "resid_post", "attn": "attn_out", "mlp": "mlp_out"}
"""Where in a block each component is read and written."""


@dataclass(frozen=True)
class Cell:
    """One patched run of the recipient.

    Attributes:
        component: What is patched in every block of the window. A patch of the residual stream in one block is
            overwritten by that in the next, so only the last block of its window matters.
        window: The blocks.
        kind: `"donor"`: the donor's activations; `"random"`: the recipient's own plus a random direction as long as the
            donor's difference; `"nothing"`: no patch, for comparison.
    """

    component: Component
    window: LayerRange
    kind: Kind = "donor"

    @property
    def starts(self) -> tuple[int, bool]:
        """The first block that the cell must run of its own, and whether it starts at its output."""
        return (self.window.stop - 1, True) if self.component == "resid" else (self.window.start, False)

    def patches(self, component: str, block: int) -> bool:
        """Whether the cell replaces this attention or MLP output."""
        return self.kind != "nothing" and self.component == component and block in self.window


def make_cells(components: Sequence[Component], windows: Sequence[LayerRange], kinds: Sequence[Kind]) -> list[Cell]:
    """All combinations, in the order in which a walk over the blocks starts them."""
    cells = [Cell(c, w, kind) for kind in kinds for c in components for w in windows]
    return sorted(cells, key=lambda cell: cell.starts)


def read_components(components: Sequence[str] | str) -> tuple[Component, ...]:
    """Check component names.

    Raises:
        LayoutError: A name is unknown, or there are none.
    """
    names = (components,) if isinstance(components, str) else tuple(components)
    unknown = [name for name in names if name not in POINTS]
    if unknown or not names:
        problem = f"unknown component {unknown[0]!r}" if unknown else "no component was given"
        raise LayoutError(
            f"{problem}; expected some of {', '.join(POINTS)} (residual stream after a block, attention output, MLP "
            "output)"
        )
    return tuple(name for name in get_args(Component) if name in names)


def read_windows(
    blocks: Iterable[int | str | LayerRange] | int | str | LayerRange | None, window: int, depth: int
) -> tuple[LayerRange, ...]:
    """Windows of blocks to patch.

    Args:
        blocks: Block numbers and ranges, as text too, each a window; None for every window of `window` blocks.
        window: Width of the windows where `blocks` is None.
        depth: Number of blocks of the model.

    Raises:
        LayerRangeError: A window is malformed, empty or out of bounds.

    Examples:
        >>> [str(w) for w in read_windows(None, 2, depth=4)], [str(w) for w in read_windows(["3", "0:2"], 1, depth=4)]
        (['0:2', '1:3', '2:4'], ['3:4', '0:2'])
    """
    if blocks is None:
        if not 1 <= window <= depth:
            raise LayerRangeError(f"window must be from 1 to the model's {depth} blocks; got {window}")
        return tuple(LayerRange.all(depth, width=window))
    items = [blocks] if isinstance(blocks, (int, str, LayerRange)) else list(blocks)
    if not items:
        raise LayerRangeError("no blocks were given; leave blocks= out to patch each of them")
    return tuple(_window(item, depth) for item in items)


def _window(item: int | str | LayerRange, depth: int) -> LayerRange:
    item = int(item) if isinstance(item, str) and item.strip().isdigit() else item
    if isinstance(item, int):
        if not 0 <= item < depth:
            raise LayerRangeError(
                f"block {item} is out of bounds: the model has {depth} decoder blocks, 0 to {depth - 1}"
            )
        return LayerRange(item, item + 1)
    return LayerRange(item).within(depth, allow_empty=False)

"""Where the residual stream can be read and written in any decoder: the thin module in front of TransformerLens.

TransformerLens knows, for more than 140 architectures, which module of a block produces what is added to the residual
stream. Only that name map is taken from it: building the architecture adapter without booting a bridge leaves the model
untouched (a bridge switches it to eager attention and swaps its submodules).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from slr_probe.checkpoint.names import find_decoder
from slr_probe.errors import LayoutError

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

Component = Literal["resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post"]
COMPONENTS: tuple[Component, ...] = get_args(Component)
"""In the order in which a block computes them."""

Key = tuple[int, str]
_ALIASES = {"attn_out": "hook_attn_out", "resid_mid": "hook_resid_mid", "mlp_out": "hook_mlp_out"}
_MIXERS = ("linear_attn", "mamba", "mixer", "ssm", "conv")  # what may stand where other blocks have attention


@dataclass(frozen=True)
class Point:
    """One place where a tensor `[batch, position, hidden]` passes that belongs to the residual stream.

    Attributes:
        block: Number of the decoder block.
        component: `"resid_pre"` (block input), `"attn_out"` (what attention adds to the stream, after a post-norm
            where there is one), `"resid_mid"` (between the two; absent where attention and MLP run in parallel),
            `"mlp_out"` (what the MLP adds), or `"resid_post"` (block output).
        module: The model's own module.
        side: Whether the tensor is the module's input or its output.
        scale: The stream receives `scale` times the tensor (Granite's residual multiplier); values that are
            recorded and replaced here are those that the stream receives.
    """

    block: int
    component: str
    module: nn.Module = field(repr=False)
    side: Literal["input", "output"]
    scale: float = 1.0

    @property
    def key(self) -> Key:
        """`(block, component)`."""
        return self.block, self.component


@dataclass(frozen=True)
class BlockPoints:
    """The points of one decoder block.

    Attributes:
        block: Its number.
        kind: Class name of the block.
        points: Its points by component; only those that it has.
    """

    block: int
    kind: str
    points: Mapping[str, Point]

    def __getitem__(self, component: str) -> Point:
        """The point of one component.

        Raises:
            LayoutError: The component is unknown, or this block has none.
        """
        if component in self.points:
            return self.points[component]
        if component not in COMPONENTS:
            raise LayoutError(f"unknown component {component!r}; expected one of {', '.join(COMPONENTS)}")
        why = " (attention and MLP run in parallel)" if component == "resid_mid" and "mlp_out" in self.points else ""
        raise LayoutError(
            f"block {self.block} ({self.kind}) has no '{component}'{why}; it has {', '.join(self.points)}"
        )


def block_points(model: PreTrainedModel) -> tuple[BlockPoints, ...]:
    """The points of every decoder block of a loaded model, in order; the model is not changed.

    Block inputs and outputs are found in any decoder-only model; attention and MLP outputs where TransformerLens knows
    the architecture. In sequential blocks `resid_pre + attn_out == resid_mid` and `resid_mid + mlp_out == resid_post`;
    `hooks.check_additive` tests it.

    Raises:
        LayoutError: The model is not a decoder-only language model.
    """
    blocks = find_decoder(model).blocks
    bridge = _block_bridge(model)
    return tuple(BlockPoints(i, type(b).__name__, _points(i, b, bridge)) for i, b in enumerate(blocks))


def select_points(
    model: PreTrainedModel, components: Iterable[str], blocks: Iterable[int] | None = None
) -> tuple[Point, ...]:
    """The points of some components in some blocks (default: all), block by block.

    Raises:
        LayoutError: A component is unknown or absent in one of the blocks, or a block is out of bounds.
    """
    every = block_points(model)
    components = (components,) if isinstance(components, str) else tuple(components)
    chosen = tuple(range(len(every)) if blocks is None else blocks)
    bad = [block for block in chosen if not 0 <= block < len(every)]
    if bad:
        raise LayoutError(f"blocks {bad} are out of bounds: the model has {len(every)} decoder blocks, counted from 0")
    return tuple(every[block][component] for block in chosen for component in components)


# -- TransformerLens' name map -----------------------------------------------------------------------------------


def _block_bridge(model: PreTrainedModel) -> Any | None:
    """TransformerLens' description of a block of this architecture; None where it does not know it."""
    from transformer_lens.factories.architecture_adapter_factory import ArchitectureAdapterFactory as Factory
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_config_from_hf

    config = copy.deepcopy(model.config)
    try:
        dtype = next(model.parameters()).dtype
        described = build_bridge_config_from_hf(config, type(model).__name__, "", dtype)
        mapping = Factory.select_architecture_adapter(described).component_mapping
    except (ValueError, AttributeError, KeyError):
        return None
    return (mapping or {}).get("blocks")


def _points(number: int, block: nn.Module, bridge: Any | None) -> dict[str, Point]:
    points = {
        "resid_pre": Point(number, "resid_pre", block, "input"),
        "resid_post": Point(number, "resid_post", block, "output"),
    }
    for component, alias in _ALIASES.items() if bridge is not None else ():
        resolved = _resolve(block, bridge, alias)
        if resolved is not None:
            module, side, scale = resolved
            points[component] = Point(number, component, module, side, scale)
    return {component: points[component] for component in COMPONENTS if component in points}


def _resolve(block: nn.Module, bridge: Any, alias: str) -> tuple[nn.Module, Literal["input", "output"], float] | None:
    """Follow one of TransformerLens' aliases, such as `"ln1_post.hook_out"`, to a module of the block."""
    path = bridge.hook_aliases.get(alias)
    scale = getattr(bridge, "residual_contribution_scale", 1.0) if alias != "hook_resid_mid" else 1.0
    if path is None and hasattr(bridge, alias):  # contributions that are scaled when they are added
        inner = bridge.scaled_attn_submodule if alias == "hook_attn_out" else bridge.scaled_mlp_submodule
        path = f"{inner}.hook_out"
    if not isinstance(path, str):
        return None
    *names, hook = path.split(".")
    module = _walk(block, bridge, names)
    if module is None and names == ["attn"]:
        module = next((m for m in (_walk(block, bridge, [name]) for name in _MIXERS) if m is not None), None)
    if module is None or module is block:
        return None
    return module, "input" if hook == "hook_in" else "output", float(scale)


def _walk(module: nn.Module | None, bridge: Any, names: Iterable[str]) -> nn.Module | None:
    for name in names:
        bridge = bridge.submodules.get(name)
        if bridge is None or module is None:
            return None
        if bridge.name:  # parts without a module of their own, such as OPT's MLP, have none
            for part in bridge.name.split("."):
                module = getattr(module, part, None)
    return module

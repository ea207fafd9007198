"""`Recipe`: for every decoder block, where its weights come from."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from numbers import Integral
from operator import index
from typing import Any, Protocol

from slr_probe.block_weight import BASE, GROUPS, TUNED, BlockWeight, check_share, describe, from_runs, to_runs
from slr_probe.end_bias import EndBias, as_end_bias, describe_end_bias
from slr_probe.errors import RecipeError
from slr_probe.files import parse_json
from slr_probe.layers import LayerRange

__all__ = ["BASE", "GROUPS", "TUNED", "BlockWeight", "Recipe", "as_recipe"]

_FORMAT = "slr_probe.recipe/1"
_OUTSIDE = ("embedding", "final_norm", "head")
_DEEPEST = 10_000  # blocks; ours: no model has a tenth of it, and a file that claims more must cost nothing


class Mask(Protocol):
    """Anything that can say which layers to keep tuned, such as a learned layer mask."""

    def recipe(self, keep: float) -> Recipe:
        """The recipe that keeps this share of the layers tuned."""
        ...


@dataclass(frozen=True)
class Recipe:
    """Where the weights of a hybrid come from, block by block.

    A share of 1 is the tuned tensor, 0 the base tensor (both bit for bit), anything else
    `(1 - share) * base + share * tuned`, computed in float32 with the share rounded to a multiple of 1/4096 (our
    choice: results are then the same on every processor) and rounded once to the hybrid's dtype.
    Embedding, final norm and head come from tuned unless the recipe says otherwise. Recipes are immutable,
    hashable and compare by content; the name is a label only.

    Attributes:
        blocks: One `BlockWeight` a decoder block.
        embedding: Share for token and position embeddings (a tied head follows).
        final_norm: Share for the norm after the last block.
        head: Share for the output head; must equal `embedding` where the model ties the two.
        name: Label in tables and figures; derived from the content when empty.
        end_bias: What generation adds to the logits of end tokens, see `with_end_bias`.

    Raises:
        RecipeError: No blocks, or a share that is not a finite number.

    Examples:
        >>> recipe = Recipe.restore("2:4", depth=6)
        >>> print(recipe)
        restore 2:4 of 6
        >>> Recipe.from_json(recipe.to_json()) == recipe
        True
    """

    blocks: tuple[BlockWeight, ...]
    embedding: float = 1.0
    final_norm: float = 1.0
    head: float = 1.0
    name: str = field(default="", compare=False)
    end_bias: EndBias = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if not self.blocks:
            raise RecipeError("a recipe needs at least one block; got none")
        for block in self.blocks:
            if not isinstance(block, BlockWeight):
                raise RecipeError(f"recipe blocks must be BlockWeight, got {type(block).__name__}: {block!r}")
        for part in _OUTSIDE:
            object.__setattr__(self, part, check_share(getattr(self, part), part))
        object.__setattr__(self, "end_bias", as_end_bias(self.end_bias))

    @classmethod
    def tuned(cls, depth: int) -> Recipe:
        """The tuned model itself: nothing restored."""
        return cls((TUNED,) * _depth(depth))

    @classmethod
    def base(cls, depth: int, *, blocks_only: bool = True) -> Recipe:
        """Every block from base; with `blocks_only=False` embedding, final norm and head as well (the base model)."""
        outside = 1.0 if blocks_only else 0.0
        return cls((BASE,) * _depth(depth), outside, outside, outside)

    @classmethod
    def restore(
        cls, layers: LayerRange | str | Iterable[int], depth: int, *, only: str | Iterable[str] | None = None
    ) -> Recipe:
        """Set blocks of the tuned model back to base: Selective Layer Restoration (arXiv 2602.06665).

        Args:
            layers: A contiguous range (`LayerRange` or `"8:14"`), or any set of block numbers.
            depth: Number of decoder blocks of the model.
            only: Restore only these groups (`"attention"`, `"mlp"`, `"norm"`) or components (`"q"`, `"down"`, ...) of
                the blocks; everything else in them stays tuned. Default: whole blocks, as the paper does.

        Raises:
            LayerRangeError: The range is malformed or out of bounds.
            RecipeError: A block number is out of bounds.

        Examples:
            >>> print(Recipe.restore({1, 4}, depth=6))
            restore {1, 4} of 6
            >>> print(Recipe.restore("1:3", depth=6, only="attention"))
            restore attention in 1:3 of 6
        """
        chosen = _blocks(layers, _depth(depth))
        names = (only,) if isinstance(only, str) else tuple(only) if only is not None else None
        if names == ():
            raise RecipeError("only=() restores nothing; name at least one group or component, or leave it out")
        restored = BASE if names is None else BlockWeight(1.0, tuple((name, 0.0) for name in names))
        return cls(tuple(restored if i in chosen else TUNED for i in range(depth)))

    @classmethod
    def early(cls, width: int, depth: int) -> Recipe:
        """Control of equal width: restore the first `width` blocks."""
        return cls.restore(LayerRange(0, width), depth)

    @classmethod
    def late(cls, width: int, depth: int) -> Recipe:
        """Control of equal width: restore the last `width` blocks."""
        return cls.restore(LayerRange(depth - width, depth) if width <= depth else LayerRange(0, width), depth)

    @classmethod
    def soup(cls, alpha: float, depth: int, *, blocks_only: bool = False) -> Recipe:
        """Uniform interpolation of all weights, `(1 - alpha) * base + alpha * tuned` (WiSE-FT, model soups).

        Args:
            alpha: Share of the tuned weights everywhere; 0 is base, 1 is tuned.
            depth: Number of decoder blocks.
            blocks_only: Keep embedding, final norm and head tuned (needed where vocabularies differ in size).
        """
        outside = 1.0 if blocks_only else alpha
        return cls((BlockWeight(alpha),) * _depth(depth), outside, outside, outside)

    @classmethod
    def ramp(cls, alpha: float, beta: float, depth: int) -> Recipe:
        """Depth ramp (LiNeS, arXiv 2410.17146): block l keeps `alpha + beta * l / (depth - 1)` of the tuned delta.

        Embedding, final norm and head stay tuned.
        """
        steps = max(_depth(depth) - 1, 1)
        alpha, beta = check_share(alpha, "the first block"), check_share(beta, "the slope")
        return cls(tuple(BlockWeight(alpha + beta * i / steps) for i in range(depth)))

    @classmethod
    def from_mask(cls, mask: Mask, keep: float = 0.75) -> Recipe:
        """Set the least important layers of a learned mask back to base, wherever they lie (ILA, arXiv 2410.17875).

        Args:
            mask: A mask from `learn_layer_mask`.
            keep: Share of its layers, the most important ones, that stay tuned.
        """
        return mask.recipe(keep)

    def with_end_bias(self, bias: Mapping[int, float] | None) -> Recipe:
        """The same weights, and numbers that generation adds to the logits of tokens; see `rank.EndBias.per_token`.

        Raises:
            RecipeError: It is no mapping from token ids to finite numbers.
        """
        return replace(self, end_bias=as_end_bias(bias))

    @property
    def depth(self) -> int:
        """Number of decoder blocks."""
        return len(self.blocks)

    @property
    def restored_blocks(self) -> tuple[int, ...]:
        """Blocks that are not wholly tuned."""
        return tuple(i for i, block in enumerate(self.blocks) if not block.is_tuned)

    @property
    def layers(self) -> LayerRange | None:
        """The range, where the recipe is "one contiguous range of whole blocks from base, the rest tuned"."""
        chosen = self.restored_blocks
        if not chosen or replace(self, end_bias=()) != Recipe.restore(chosen, self.depth):
            return None
        return LayerRange(chosen[0], chosen[-1] + 1) if chosen[-1] - chosen[0] + 1 == len(chosen) else None

    @property
    def is_tuned(self) -> bool:
        """Whether the hybrid is the tuned model itself."""
        return self == Recipe.tuned(self.depth)

    def share(self, block: int | None, group: str, component: str = "") -> float:
        """Share of the tuned weights for one tensor: 0 base, 1 tuned.

        Args:
            block: Its decoder block; None outside the blocks.
            group: Its group of `GROUPS`; outside the blocks `"embedding"`, `"final_norm"`, `"head"`, or always tuned.
            component: Its component inside the block, such as `"q"`.
        """
        if block is not None:
            return self.blocks[block].share(group, component)
        return float(getattr(self, group)) if group in _OUTSIDE else 1.0

    def check_depth(self, depth: int) -> Recipe:
        """Return the recipe itself after checking that it is for a model of `depth` blocks.

        Raises:
            RecipeError: The recipe was made for another depth.
        """
        if depth != self.depth:
            raise RecipeError(
                f"recipe '{self}' is for {self.depth} decoder blocks but the model has {depth}; "
                f"build it with depth={depth}"
            )
        return self

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; runs of equal blocks are written once."""
        rest: dict[str, Any] = {part: getattr(self, part) for part in _OUTSIDE}
        rest |= {"end_bias": [list(pair) for pair in self.end_bias]} if self.end_bias else {}
        return {"format": _FORMAT, "name": str(self), "depth": self.depth, "blocks": to_runs(self.blocks), **rest}

    def to_json(self) -> str:
        """The recipe as indented JSON text."""
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        """Rebuild a recipe from `to_dict`.

        Raises:
            RecipeError: The data is not a recipe of this format, or its runs do not cover the blocks exactly.
        """
        if not isinstance(data, Mapping) or data.get("format") != _FORMAT:
            found = data.get("format") if isinstance(data, Mapping) else type(data).__name__
            raise RecipeError(f"not a recipe: expected an object with format {_FORMAT!r}, found {found!r}")
        try:
            blocks = from_runs(data["blocks"], _depth(data["depth"]))
            outside = {part: data[part] for part in _OUTSIDE}
            recipe = cls(tuple(blocks), **outside, end_bias=data.get("end_bias", ())).check_depth(data["depth"])
            name = str(data.get("name", ""))
            return recipe if name == str(recipe) else replace(recipe, name=name)
        except (KeyError, TypeError, AttributeError) as error:
            raise RecipeError(f"malformed recipe: {type(error).__name__} at {error}") from error

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Rebuild a recipe from `to_json`.

        Raises:
            RecipeError: The text is not JSON or not a recipe.
        """
        return cls.from_dict(parse_json(text, "the recipe", RecipeError))

    def to_mergekit(self, base: str, tuned: str, **options: Any) -> str:
        """YAML with which mergekit builds exactly this hybrid; options as `slr_probe.restoration.mergekit` says."""
        mergekit = import_module("slr_probe.restoration.mergekit")  # by name: a recipe knows no checkpoint
        return str(mergekit.to_mergekit(self, base, tuned, **options))

    def __str__(self) -> str:
        weights = describe(self.blocks, self.embedding, self.final_norm, self.head)
        return self.name or weights + describe_end_bias(self.end_bias)

    def __repr__(self) -> str:
        return f"<Recipe: {self}>"


def as_recipe(recipe: Recipe | LayerRange | str, depth: int) -> Recipe:
    """Read a recipe, or the range of blocks to restore, for a model of `depth` blocks.

    Raises:
        LayerRangeError: A range that is malformed, empty or out of bounds.
        RecipeError: A recipe for another depth, or something that is neither.
    """
    if isinstance(recipe, Recipe):
        return recipe.check_depth(depth)
    if isinstance(recipe, (LayerRange, str)):
        return Recipe.restore(LayerRange(recipe).within(depth, allow_empty=False), depth)
    given = f"{type(recipe).__name__} {reprlib.repr(recipe)}{_meant(recipe)}"
    raise RecipeError(f"expected a Recipe, a LayerRange or text such as '8:14'; got {given}")


def _meant(given: object) -> str:
    """A hint for those who list the blocks of a range: `[4, 5, 6]` and `range(4, 7)` are `"4:7"`."""
    try:
        blocks = sorted({index(one) for one in given})  # type: ignore[attr-defined]
    except TypeError:
        return ""
    if len(blocks) > 2 and blocks == list(range(blocks[0], blocks[-1] + 1)):
        return f". Did you mean '{blocks[0]}:{blocks[-1] + 1}' (the stop is exclusive)?"
    return "; Recipe.restore(blocks, depth) takes a set of blocks"


def _blocks(layers: LayerRange | str | Iterable[int], depth: int) -> frozenset[int]:
    if isinstance(layers, (LayerRange, str)):
        return frozenset(LayerRange(layers).within(depth))
    try:
        chosen = frozenset(index(layer) for layer in layers)
    except TypeError as error:
        raise RecipeError(f"expected a range such as '8:14' or a set such as {{1, 4}}; got {layers!r}") from error
    bad = sorted(i for i in chosen if not 0 <= i < depth)
    if bad:
        raise RecipeError(f"blocks {bad} are out of bounds: the model has {depth} decoder blocks, 0 to {depth - 1}")
    return chosen


def _depth(depth: int) -> int:
    if isinstance(depth, bool) or not isinstance(depth, Integral) or not 1 <= depth <= _DEEPEST:
        raise RecipeError(f"depth must be the number of decoder blocks, 1 to {_DEEPEST}; got {depth!r}")
    return int(depth)

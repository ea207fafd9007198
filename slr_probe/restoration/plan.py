"""What a recipe means for every tensor of a pair. Both builders and the verifier follow this one plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slr_probe.errors import RecipeError
from slr_probe.pair.fit import homeless_head, shared_tensors
from slr_probe.pair.side import Side
from slr_probe.recipe import Recipe

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Step:
    """Where one tensor of the hybrid comes from.

    Attributes:
        name: Its name in tuned, and so in the hybrid.
        share: Share of tuned: 1 tuned, 0 base, else `(1 - share) * base + share * tuned`.
        base_name: Its name in base; None where it comes from tuned alone.
    """

    name: str
    share: float
    base_name: str | None


def plan_hybrid(base: Side, tuned: Side, recipe: Recipe) -> dict[str, Step]:
    """Plan every tensor of the hybrid, by name.

    Raises:
        RecipeError: The recipe does not fit: another depth, an unknown component, a part that base lacks or that
            has another shape there, or a head that differs from the embedding that it is tied to.
    """
    recipe.check_depth(tuned.depth)
    check_names(recipe, tuned)
    if recipe.head != recipe.embedding and tuned.tied:
        raise RecipeError(
            f"the head is tied to the embedding, but recipe '{recipe}' takes a share of {recipe.embedding:g} of the "
            f"tuned embedding and {recipe.head:g} of the tuned head; make both equal"
        )
    _check_shared(recipe, tuned)
    _check_outside(recipe, base, tuned)
    return {name: _step(name, base, tuned, recipe) for name in tuned.addresses}


def grid(share: float) -> float:
    """The share that arithmetic uses: the nearest multiple of 1/4096.

    Products of such a share with bf16 and fp16 weights are exact in float32, so an interpolated hybrid comes out
    the same on every processor, with or without fused multiply-add, in any order, and from mergekit.
    """
    return round(share * 4096) / 4096


def mix(base: torch.Tensor, tuned: torch.Tensor, share: float) -> torch.Tensor:
    """`(1 - s) * base + s * tuned` with `s = grid(share)`, in float32, rounded once to tuned's dtype.

    float64 weights are mixed in float64. Shares 0 and 1 return the values of base and tuned unchanged.
    """
    import torch

    share = grid(share)
    if share == 1.0:
        return tuned
    if share == 0.0:
        return base.to(tuned.dtype)
    wide = torch.float64 if torch.float64 in (base.dtype, tuned.dtype) else torch.float32
    return (base.to(wide).mul(1.0 - share) + tuned.to(wide).mul(share)).to(tuned.dtype)


def _check_shared(recipe: Recipe, tuned: Side) -> None:
    """A parameter that several blocks use is one tensor: it cannot come from base in one and from tuned in another."""
    if len(set(recipe.blocks)) == 1:
        return
    for places in shared_tensors(tuned):
        shares = {place.block: recipe.share(place.block, place.group, place.component) for place in places}
        if len(set(shares.values())) > 1:
            raise RecipeError(
                f"blocks {list(shares)} of this model use one '{places[0].suffix}', but recipe '{recipe}' takes other "
                f"shares of it in each: {list(shares.values())}; treat these blocks alike"
            )


def _check_outside(recipe: Recipe, base: Side, tuned: Side) -> None:
    """A part that the recipe takes from base must be among the tensors that are known by name, and have a place."""
    homeless = homeless_head(base, tuned) if recipe.head != 1.0 else None
    if homeless:
        raise RecipeError(
            f"recipe '{recipe}' takes the head from base, whose '{homeless}' is not its embedding; tuned ties the two, "
            "and a hybrid of its config has no place for it: keep both tuned (blocks_only=True for a soup)"
        )
    roles = {address.role for address in tuned.addresses.values()}
    for part in ("embedding", "final_norm", "head"):
        if getattr(recipe, part) != 1.0 and part not in roles and not (part == "head" and tuned.tied):
            raise RecipeError(
                f"recipe '{recipe}' changes the {part.replace('_', ' ')}, but none of the model's tensors is known to "
                "be it; keep it tuned"
            )


def _step(name: str, base: Side, tuned: Side, recipe: Recipe) -> Step:
    address = tuned.addresses[name]
    share = recipe.share(address.block, address.group, address.component)
    if share == 1.0:
        return Step(name, 1.0, None)
    base_name = base.names.get(address.key)
    if base_name is None and address.role == "head" and tuned.tied:
        base_name = _embedding_like(tuned.shapes[name], base)
    if base_name is None:
        raise RecipeError(f"recipe '{recipe}' wants '{name}' from base, but base has no such tensor")
    if base.shapes[base_name] != tuned.shapes[name]:
        raise RecipeError(
            f"recipe '{recipe}' wants '{name}' from base, where it is {list(base.shapes[base_name])}, but tuned has "
            f"{list(tuned.shapes[name])}; keep this part tuned (blocks_only=True for a soup)"
        )
    return Step(name, share, base_name)


def _embedding_like(shape: tuple[int, ...], side: Side) -> str | None:
    """The embedding that a tied head shares, where the checkpoint does not store the head as well."""
    embeddings = [name for name, address in side.addresses.items() if address.role == "embedding"]
    alike = [name for name in embeddings if side.shapes[name] == shape]
    return alike[0] if len(alike) == 1 else None


def check_names(recipe: Recipe, tuned: Side) -> None:
    """Check that every group and component that a recipe names is in the model.

    Raises:
        RecipeError: One is not; groups and components that are there are listed.
    """
    named = {name for block in recipe.blocks for name, _ in block.overrides}
    if not named:
        return
    blocks = [address for address in tuned.addresses.values() if address.role == "block"]
    groups, components = {a.group for a in blocks}, {a.component for a in blocks}
    unknown = sorted(named - groups - components)
    if unknown:
        raise RecipeError(
            f"recipe '{recipe}' names {unknown}, which this model does not have; groups: {', '.join(sorted(groups))}; "
            f"components: {', '.join(sorted(components))}"
        )

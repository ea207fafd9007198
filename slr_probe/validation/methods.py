"""What is validated: tuned, the chosen hybrids, and the baselines that a fair comparison needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slr_probe.errors import ValidationError
from slr_probe.layers import LayerRange
from slr_probe.pair.prompts import PLAIN_BASE
from slr_probe.recipe import Recipe
from slr_probe.validation.rivals import READINGS, RIVALS, Reading

if TYPE_CHECKING:
    from slr_probe.generation import Sampling
    from slr_probe.generation.sources import Route
    from slr_probe.pair import ModelPair

BASELINES = (
    "early",
    "late",
    "random",
    "soup",
    "temperature",
    "min_p",
    "prompt",
    "hybrid_temperature",
    "base",
    "base_plain",
)
"""`early`, `late`, `random`: ranges of equal width. `soup`: the best uniform interpolation on CRC. `temperature`,
`min_p`, `prompt`: the tuned model sampled or asked otherwise. `hybrid_temperature`: the hybrids at the same
temperatures, so that both have a curve. `base`, `base_plain`: base on the chat and on the plain prompt."""
QUICK = ("early", "temperature", "base_plain")
DIVERSITY_PROMPT = (
    "{prompt}\n\nThere are many good ways to respond to this. Give one that you would not usually think of first, "
    "and still do exactly what is asked."
)
"""Wording of the prompting baseline (ours)."""


@dataclass(frozen=True)
class Method:
    """One line of a validation.

    Attributes:
        name: Label, unique in a report.
        kind: `"tuned"`, `"hybrid"`, `"early"`, `"late"`, `"random"`, `"soup"`, `"temperature"`, `"min_p"`, `"prompt"`,
            `"hybrid_temperature"`, `"base"`, `"base_plain"`, `"verbalized"`, `"string_seed"` or `"routing"`.
        recipe: Where its weights come from; None for base as a whole, and for a route.
        sampling: How it is sampled.
        wording: The user message, with `{prompt}` where the task's prompt stands.
        curve: Methods of one curve in the diversity-quality plane share this label; empty for single points.
        route: Base and tuned that write together, in place of a recipe.
    """

    name: str
    kind: str
    recipe: Recipe | None
    sampling: Sampling
    wording: str = "{prompt}"
    curve: str = ""
    route: Route | None = None

    @property
    def reading(self) -> Reading | None:
        """How replies stand in its outputs, where each output is not one reply."""
        return READINGS.get(self.kind)

    @property
    def model(self) -> Recipe | Route | str:
        """What `generate` is asked for."""
        if self.route is not None:
            return self.route
        if self.recipe is not None:
            return "tuned" if self.recipe.is_tuned else self.recipe
        return PLAIN_BASE if self.kind == "base_plain" else "base"

    @property
    def group(self) -> str:
        """Name of the folder of its outputs: methods sampled and asked alike are generated together."""
        setting = f"T{self.sampling.temperature:g}-minp{self.sampling.min_p:g}"
        return setting if self.wording == "{prompt}" else f"{setting}-{self.kind}"


def check_baselines(wanted: str | Iterable[str] | None, default: Sequence[str]) -> tuple[str, ...]:
    """Names of baselines, in the order of reports.

    Raises:
        ValidationError: An unknown name.
    """
    if wanted is None:
        return tuple(default)
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    if names == ["none"]:
        return ()
    groups = {"all": BASELINES, "usual": tuple(default), "rivals": RIVALS}
    known = (*BASELINES, *RIVALS)
    unknown = [name for name in names if name not in known and name not in groups]
    if unknown:
        raise ValidationError(
            f"unknown baseline {unknown[0]!r}; expected 'none', or some of {', '.join((*groups, *known))}"
        )
    chosen = {one for name in names for one in groups.get(name, (name,))}
    return tuple(name for name in known if name in chosen)


def read_recipes(pair: ModelPair, recipes: Any) -> tuple[tuple[str, Recipe], ...]:
    """Name and recipe of each chosen hybrid.

    Raises:
        ValidationError: None were given, or two have the same name.
        LayerRangeError: A range is malformed or out of bounds.
        RecipeError: A recipe does not fit the pair.
    """
    if isinstance(recipes, Mapping):
        found = tuple((str(name), pair.recipe(recipe)) for name, recipe in recipes.items())
    else:
        single = isinstance(recipes, (str, Recipe, LayerRange)) or not isinstance(recipes, Iterable)
        read = [pair.recipe(one) for one in ((recipes,) if single else recipes)]
        found = tuple((_name(recipe), recipe) for recipe in read)
    names = [name for name, _ in found]
    if not found:
        raise ValidationError("no hybrid to validate; give a recipe or a range such as '14:18'")
    if len(set(names)) < len(names) or set(names) & {"tuned", "base", PLAIN_BASE}:
        raise ValidationError(f"each hybrid needs a name of its own, other than tuned and base; got {', '.join(names)}")
    return found


def _name(recipe: Recipe) -> str:
    """A hybrid by its range, else as it is described; a soup is called as the baseline is."""
    if recipe.layers is not None:
        return f"hybrid {recipe.layers}"
    return str(recipe).removesuffix(f" of {recipe.depth}")

"""What is validated: tuned, the chosen hybrids, and the baselines that a fair comparison needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.errors import ValidationError
from slr_probe.layers import LayerRange
from slr_probe.pair.prompts import PLAIN_BASE
from slr_probe.recipe import Recipe

if TYPE_CHECKING:
    from slr_probe.generation import Sampling
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
QUICK = ("early", "base_plain")
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
            `"hybrid_temperature"`, `"base"` or `"base_plain"`.
        recipe: Where its weights come from; None for base as a whole.
        sampling: How it is sampled.
        wording: The user message, with `{prompt}` where the task's prompt stands.
        curve: Methods of one curve in the diversity-quality plane share this label; empty for single points.
        folder: Its checkpoint, where the backend loads models from disk.
    """

    name: str
    kind: str
    recipe: Recipe | None
    sampling: Sampling
    wording: str = "{prompt}"
    curve: str = ""
    folder: Path | None = None

    @property
    def model(self) -> Recipe | Path | str:
        """What `generate` is asked for."""
        if self.folder is not None:
            return self.folder
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
    if names == ["all"]:
        return BASELINES
    if names == ["none"]:
        return ()
    unknown = [name for name in names if name not in BASELINES]
    if unknown:
        raise ValidationError(
            f"unknown baseline {unknown[0]!r}; expected 'all', 'none', or some of {', '.join(BASELINES)}"
        )
    return tuple(name for name in BASELINES if name in names)


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
        single = isinstance(recipes, (str, Recipe, LayerRange))
        read = [pair.recipe(one) for one in ((recipes,) if single else recipes)]
        found = tuple((f"hybrid {r.layers}" if r.layers is not None else str(r), r) for r in read)
    names = [name for name, _ in found]
    if not found:
        raise ValidationError("no hybrid to validate; give a recipe or a range such as '14:18'")
    if len(set(names)) < len(names) or set(names) & {"tuned", "base", PLAIN_BASE}:
        raise ValidationError(f"each hybrid needs a name of its own, other than tuned and base; got {', '.join(names)}")
    return found


def controls(
    recipes: Sequence[tuple[str, Recipe]], wanted: Sequence[str], sampling: Sampling, *, ranges: int, seed: int
) -> tuple[list[Method], list[str]]:
    """Ranges of the width of the first hybrid: the first blocks, the last ones, and random ones; with notes.

    Random ranges are contiguous, all different, and neither a chosen range nor the early or late one.
    """
    depth, width = recipes[0][1].depth, len(recipes[0][1].restored_blocks)
    taken = {recipe.layers for _, recipe in recipes}
    if not width or not {"early", "late", "random"} & set(wanted):
        return [], ["the hybrid restores nothing, so there are no controls of equal width"] if not width else []
    methods, notes = [], []
    for kind, layers in (("early", LayerRange(0, width)), ("late", LayerRange(depth - width, depth))):
        if kind in wanted and layers in taken:
            notes.append(f"the {kind} control {layers} is left out: it is a chosen hybrid or another control")
        elif kind in wanted:
            methods.append(Method(f"{kind} {layers}", kind, Recipe.restore(layers, depth), sampling))
        taken.add(layers)
    if "random" in wanted:
        free = [layers for layers in LayerRange.all(depth, width=width) if layers not in taken]
        rng = np.random.default_rng(seed)
        places = rng.permutation(len(free))[:ranges]
        picked = sorted(free[i] for i in places)
        methods += [Method(f"random {one}", "random", Recipe.restore(one, depth), sampling) for one in picked]
        if len(picked) < ranges:
            notes.append(f"only {len(picked)} of {ranges} random ranges of width {width} exist beside the others")
    return methods, notes


def variations(
    recipes: Sequence[tuple[str, Recipe]],
    wanted: Sequence[str],
    sampling: Sampling,
    *,
    temperatures: Sequence[float],
    min_ps: Sequence[float],
) -> list[Method]:
    """The tuned model, and the hybrids, sampled or asked otherwise."""
    tuned = Recipe.tuned(recipes[0][1].depth)
    found = []
    for temperature in temperatures:
        other = replace(sampling, temperature=temperature)
        if temperature == sampling.temperature:
            continue
        if "temperature" in wanted:
            found.append(Method(f"tuned T={temperature:g}", "temperature", tuned, other, curve="tuned, temperature"))
        if "hybrid_temperature" in wanted:
            found += [
                Method(f"{name} T={temperature:g}", "hybrid_temperature", recipe, other, curve=f"{name}, temperature")
                for name, recipe in recipes
            ]
    for min_p in min_ps if "min_p" in wanted else ():
        if min_p != sampling.min_p:
            other = replace(sampling, min_p=min_p)
            found.append(Method(f"tuned min-p={min_p:g}", "min_p", tuned, other, curve="tuned, min-p"))
    if "prompt" in wanted:
        found.append(Method("tuned, diversity prompt", "prompt", tuned, sampling, wording=DIVERSITY_PROMPT))
    return found

"""Which methods a validation runs: tuned, the chosen hybrids, and the baselines that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from slr_probe.layers import LayerRange
from slr_probe.pair.prompts import PLAIN_BASE
from slr_probe.recipe import Recipe
from slr_probe.validation.methods import DIVERSITY_PROMPT, Method
from slr_probe.validation.rivals import READINGS, THRESHOLDS

if TYPE_CHECKING:
    from slr_probe.generation import Sampling


def plan_methods(
    recipes: Sequence[tuple[str, Recipe]],
    wanted: Sequence[str],
    sampling: Sampling,
    best_soup: Callable[[], Recipe | None],
    *,
    temperatures: Sequence[float],
    min_ps: Sequence[float],
    random_ranges: int,
    seed: int,
) -> tuple[list[Method], list[str]]:
    """All methods in the order of reports, tuned first; with notes on what was asked for and cannot be.

    Args:
        recipes: Name and recipe of each chosen hybrid.
        wanted: Names of the baselines.
        sampling: How outputs are drawn.
        best_soup: Finds the soup, where it is wanted; None where it cannot be chosen.
        temperatures: Temperatures of the curves.
        min_ps: Values of min-p of the curve of tuned.
        random_ranges: How many random ranges of equal width.
        seed: Seed of the random ranges.
    """
    limits, notes = controls(recipes, wanted, sampling, ranges=random_ranges, seed=seed)
    methods = [Method("tuned", "tuned", Recipe.tuned(recipes[0][1].depth), sampling)]
    methods += [Method(name, "hybrid", recipe, sampling) for name, recipe in recipes]
    methods += limits
    if "soup" in wanted:
        soup = best_soup()
        if soup is None:
            notes.append("no soup: it is chosen on CRC, which could not be asked")
        elif soup in [recipe for _, recipe in recipes]:
            notes.append("the best soup is left out: it is a chosen hybrid")
        else:
            methods.append(Method(f"soup {soup.blocks[0].default:g}", "soup", soup, sampling))
    methods += variations(recipes, wanted, sampling, temperatures=temperatures, min_ps=min_ps)
    for name, kind in (("base", "base"), (PLAIN_BASE, "base_plain")):
        if kind in wanted:
            methods.append(Method(name, kind, None, sampling))
    return [*methods, *rivals(recipes[0][1].depth, wanted, sampling)], notes


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


def rivals(depth: int, wanted: Sequence[str], sampling: Sampling) -> list[Method]:
    """Methods of others (`slr_probe.validation.rivals`): tuned asked otherwise; base and tuned sharing a text."""
    from slr_probe.generation.sources import Route

    names = {"verbalized": "verbalized sampling", "string_seed": "string seed of thought"}
    found = [
        Method(name, kind, Recipe.tuned(depth), sampling, wording=READINGS[kind].wording)
        for kind, name in names.items()
        if kind in wanted
    ]
    for threshold in THRESHOLDS if "routing" in wanted else ():
        name = f"routing below {threshold:g}"
        found.append(Method(name, "routing", None, sampling, route=Route(threshold)))
    return found

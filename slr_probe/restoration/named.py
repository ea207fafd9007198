"""A hybrid as a user names it: a range, a uniform soup, a recipe file, or the folder of a hybrid of the same pair."""

from __future__ import annotations

import re
from pathlib import Path

from slr_probe.errors import RecipeError
from slr_probe.files import read_json
from slr_probe.pair.side import Side
from slr_probe.recipe import Recipe, as_recipe
from slr_probe.restoration.verify import changed, read_record

EXPECTED = "START:STOP, soup:SHARE, a recipe file or the folder of a hybrid"
_SOUP = re.compile(r"soup[ :](\d+(?:\.\d+)?)")


def label(name: str) -> str:
    """What tables call the hybrid that a user named; a soup has the name that it has as a baseline.

    Examples:
        >>> label("14:18"), label("soup:0.50")
        ('hybrid 14:18', 'soup 0.5')
    """
    soup = _SOUP.fullmatch(name)
    return f"soup {float(soup[1]):g}" if soup is not None else f"hybrid {name}"


def named_recipe(name: str, base: Side, tuned: Side) -> Recipe:
    """The recipe that a name on the command line stands for.

    Args:
        name: `"14:18"`, `"soup:0.5"` (half of base everywhere), a recipe file, or a folder that `restore` wrote.
        base: Base side of the pair that it is for.
        tuned: Tuned side.

    Raises:
        LayerRangeError: It is none of these, or a range that is empty or out of bounds.
        RecipeError: A file that holds no recipe or one for another depth, or a folder of another pair.
        CheckpointError: A folder without a record of its hybrid.
    """
    soup, path = _SOUP.fullmatch(name), Path(name)
    if soup is not None:
        return Recipe.soup(float(soup[1]), tuned.depth)
    if path.is_dir():
        record = read_record(path)
        other = changed(record, base, tuned)
        if other:
            raise RecipeError(f"{path} cannot be built from this pair: {'; '.join(other)}")
        return Recipe.from_dict(record["recipe"]).check_depth(tuned.depth)
    if path.is_file():
        data = read_json(path, RecipeError)
        recipe = data.get("recipe", data) if isinstance(data, dict) else data
        return Recipe.from_dict(recipe).check_depth(tuned.depth)
    if path.suffix == ".json" or len(path.parts) > 1:
        raise RecipeError(f"no file or folder {name!r}; expected {EXPECTED}")
    return as_recipe(name, tuned.depth)

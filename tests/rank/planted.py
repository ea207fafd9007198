"""Rankings whose numbers are known, for tests of words and figures."""

from __future__ import annotations

import numpy as np

from slr_probe.layers import LayerRange
from slr_probe.rank import RangeRanking
from slr_probe.recipe import Recipe

DEPTH, PROMPTS = 4, 24


def planted(best="1:3", *, gain=0.3, noise=0.02, kept=0.97, floor=0.9, held_out=True, seed=0):
    """A ranking in which `best` gains `gain` of diversity over tuned (0.3) and keeps `kept` of its validity (0.8)."""
    rng = np.random.default_rng(seed)
    ranges = list(LayerRange.all(DEPTH))
    recipes = [Recipe.restore(layers, DEPTH) for layers in ranges]
    width = LayerRange(best).width
    kinds = ["range"] * len(ranges) + ["tuned", "base", "full", "early", "late"]
    recipes += [
        Recipe.tuned(DEPTH),
        Recipe.base(DEPTH),
        Recipe.base(DEPTH, blocks_only=True),
        Recipe.early(width, DEPTH),
        Recipe.late(width, DEPTH),
    ]

    def scores(prompts):
        diversity = np.full((len(kinds), prompts), 0.31)
        validity = np.full((len(kinds), prompts), 0.5)
        at = ranges.index(LayerRange(best))
        diversity[at], validity[at] = 0.3 + gain, 0.8 * kept
        tuned = kinds.index("tuned")
        diversity[tuned], validity[tuned] = 0.3, 0.8
        diversity[tuned + 1], validity[tuned + 1] = 0.95, 0.4
        level = rng.normal(0, 0.02, prompts)  # shared by all rows, so that pairing matters
        for scores, size in ((diversity, noise), (validity, noise / 4)):
            drawn = level + rng.normal(0, size, scores.shape)
            scores += drawn - drawn.mean(axis=1, keepdims=True) if prompts else drawn  # means are exactly as planted
        return np.clip(validity, 0, 1), np.clip(diversity, 0, 1)

    validity, diversity = scores(PROMPTS)
    held_validity, held_diversity = scores(PROMPTS if held_out else 0)
    return RangeRanking(
        kinds=np.array(kinds),
        validity=validity,
        diversity=diversity,
        held_validity=held_validity,
        held_diversity=held_diversity,
        score=np.full(len(kinds), np.nan),
        block_gain=np.full(DEPTH, np.nan),
        changed=np.ones(DEPTH, dtype=bool),
        recipe_data=tuple(r.to_dict() for r in recipes),
        method="sweep",
        floor=floor,
        resamples=400,
        settings={"base": "b", "tuned": "t"},
    )

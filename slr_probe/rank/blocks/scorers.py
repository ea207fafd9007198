"""Cheap scorers of blocks, whose ranges add up: what would restoring each block bring?

A scorer either predicts the change in diversity and in validity from restoring one block (`patching`,
`attribution`), or gives one number a block that only says where the change happened (`delta`, `entropy`, `mask`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.errors import RankingError
from slr_probe.layers import LayerRange
from slr_probe.rank.blocks.attribution import first_order_effects
from slr_probe.rank.blocks.collapse import entropy_collapse
from slr_probe.rank.blocks.weights import relative_deltas
from slr_probe.rank.measure import Scorer
from slr_probe.recipe import Recipe

_MASK_SAMPLES, _MASK_STEPS, _MASK_BATCH = 4, 40, 32
_SHORTFALL = 10.0
"""Diversity that a predicted validity of 1 below the floor costs: more than there is, so that feasible ranges lead."""


@dataclass(frozen=True)
class BlockScores:
    """One scorer's opinion of every block.

    Attributes:
        gain: Predicted change in diversity (fraction of log |V|) from restoring the block; where `validity` is None, a
            measure of change in units of its own.
        validity: Predicted change in validity (probability); None for scorers that do not say.
    """

    gain: Float[ndarray, " block"]
    validity: Float[ndarray, " block"] | None = None

    def of_ranges(self, ranges: Sequence[LayerRange], slack: float) -> Float[ndarray, " range"]:
        """Score of each range, the larger the better: what its blocks add up to.

        With predicted validity, a range that falls short of the floor pays for it. Without, each block counts by how
        far it stands above the mean block, so that wider is not always better.

        Args:
            ranges: The ranges.
            slack: Validity that may be lost before the floor is reached.
        """
        if self.validity is None:
            return _sums(self.gain - self.gain.mean(), ranges)
        shortfall = np.minimum(_sums(self.validity, ranges) + slack, 0.0)
        return _sums(self.gain, ranges) + _SHORTFALL * shortfall


def _sums(values: Float[ndarray, " block"], ranges: Sequence[LayerRange]) -> Float[ndarray, " range"]:
    # Each range summed by itself: differences of running sums would leave rounding where blocks add exactly nothing.
    return np.array([values[r.start : r.stop].sum() for r in ranges])


def delta(scorer: Scorer) -> BlockScores:
    """Relative norm of the weight change of each block, `||tuned - base|| / ||base||`. Reads weights, runs nothing."""
    return BlockScores(relative_deltas(scorer.pair, stream=scorer.engine.get("stream")))


def entropy(scorer: Scorer) -> BlockScores:
    """Size of the difference between what base's and tuned's block do to the entropy of one input (logit lens, nats).

    The size and not the collapse itself, which has a sign: planted blocks in the first half of the embedded model raise
    the lens entropy where they stand and lower it at the end, and on both test pairs the size goes better with
    the gain from restoring single blocks (Spearman 0.78 and 0.43 against 0.36 and 0.27).
    """
    return BlockScores(np.abs(entropy_collapse(scorer.pair, scorer.queries, **scorer.sampling)))


def patching(scorer: Scorer) -> BlockScores:
    """Change in diversity and validity when the residual stream is patched between the models at each depth.

    Running base up to block l and tuned from there on is the hybrid `[0, l)`; the other way round it is `[l, L)`.
    Block l is credited with the mean of what it adds to the first and what it adds to the second, so that all blocks
    together add up exactly to the effect of restoring everything. 2 L hybrids of the sweep.
    """
    depth = scorer.pair.depth
    first = [Recipe.restore(LayerRange(0, stop), depth) for stop in range(depth + 1)]
    last = [Recipe.restore(LayerRange(start, depth), depth) for start in range(depth + 1)]
    scores = scorer([*first, *last])
    validity, diversity = (
        (np.diff(values[: depth + 1].mean(axis=1)) - np.diff(values[depth + 1 :].mean(axis=1))) / 2 for values in scores
    )
    return BlockScores(diversity, validity)


def attribution(scorer: Scorer) -> BlockScores:
    """First-order effect of each block: gradient of diversity and of validity at tuned, times base - tuned."""
    return BlockScores(*first_order_effects(scorer.pair, scorer.queries, **scorer.sampling))


def mask(scorer: Scorer) -> BlockScores:
    """Learned significance (ILA, arXiv 2410.17875): mean gamma of each block's matrices, weighted by their size.

    Learned on what tuned itself answers to the prompts: where gamma is high, post-training made these answers. Draws
    (at temperature 1, whatever is scored), steps and batches are ours. Holds the tuned model, and base where it is
    loaded anyway.
    """
    from slr_probe.probes.mask.examples import sample_examples
    from slr_probe.probes.mask.learn import learn_layer_mask

    if not scorer.changed:
        return BlockScores(np.zeros(scorer.pair.depth))
    examples = sample_examples(scorer.pair, [query.token_ids for query in scorer.queries], samples=_MASK_SAMPLES)
    learned = learn_layer_mask(
        scorer.pair, examples, steps=_MASK_STEPS, batch_size=_MASK_BATCH, progress=scorer.engine.get("progress")
    )
    return BlockScores(learned.blocks())


BlockScorer = Callable[[Scorer], BlockScores]

SCORERS: Mapping[str, BlockScorer] = {
    "delta": delta,
    "entropy": entropy,
    "patching": patching,
    "attribution": attribution,
    "mask": mask,
}


def find_block_scorer(name: str) -> BlockScorer:
    """The scorer of blocks of that name.

    Raises:
        RankingError: There is none.
    """
    if name not in SCORERS:
        raise RankingError(f"unknown scorer {name!r}; expected one of {', '.join(SCORERS)}")
    return SCORERS[name]

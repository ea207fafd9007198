"""Outputs of three stages, each with fewer words than the one before."""

import numpy as np

from tests.validation.conftest import outputs_of

WORDS = "the a red blue old new cat dog sun moon ran sat on by in".split()


def _outputs(stage, spread, *, prompts=6, samples=8, length=12, prefix="", seed=0):
    """Outputs whose words come from the first `spread` words."""
    rng = np.random.default_rng([seed, spread])
    texts = [[prefix + " ".join(rng.choice(WORDS[:spread], length)) for _ in range(samples)] for _ in range(prompts)]
    return outputs_of(texts, model=stage)


STAGES = [("base", _outputs("base", 15)), ("sft", _outputs("sft", 6)), ("dpo", _outputs("dpo", 3))]

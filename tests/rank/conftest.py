import numpy as np
import pytest
import torch

from slr_probe import LayerRange, ModelPair, Recipe
from slr_probe.rank.ranking import RangeRanking
from slr_probe.tasks import CRCItem, CRCTask
from tests.tiny import make_model
from tests.tiny_tokenizer import make_tokenizer

DEPTH = 5
PLANTED = (1, 3)
SETS = ["ab", "cde", "12", "345", "xyz", "789", "pqrs", "0123", "KLM", "uvw", "90", "fgh"]


@pytest.fixture(scope="session")
def task():
    """Twelve questions, half of them held out."""
    return CRCTask.of(
        CRCItem(
            f"Pick one of {' '.join(s)}.",
            tuple(s),
            "digits" if s.isdigit() else "letters",
            True,
            "held_out" if i % 2 else "selection",
        )
        for i, s in enumerate(SETS)
    )


def _pair(planted=None):
    base, tuned = make_model("llama", 1, num_hidden_layers=DEPTH), make_model("llama", 2, num_hidden_layers=DEPTH)
    if planted is not None:
        tuned.load_state_dict(base.state_dict())
        other = make_model("llama", 3, num_hidden_layers=DEPTH)
        with torch.no_grad():
            for block in range(*planted):
                for ours, theirs in zip(
                    tuned.model.layers[block].parameters(), other.model.layers[block].parameters(), strict=True
                ):
                    ours.copy_(theirs)
    return ModelPair.load(base, tuned, tokenizer=make_tokenizer(), device="cpu")


@pytest.fixture(scope="session")
def pair():
    """Two random models: every block differs."""
    return _pair()


@pytest.fixture(scope="session")
def planted_pair():
    """Base and tuned differ in the blocks of PLANTED alone."""
    return _pair(PLANTED)


@pytest.fixture
def ranking_of():
    """`ranking_of(depth, {"0:1": (validity, diversity)})`: a ranking from scores, without a model."""

    def make(depth, scores, tuned=(1.0, 0.2), *, method="sweep", score=None, prompts=8, noise=0.0, **fields):
        rng = np.random.default_rng(0)
        ranges = LayerRange.all(depth)
        rows = [scores.get(str(r), (np.nan, np.nan)) for r in ranges] + [tuned, (0.5, 0.9)]
        recipes = [Recipe.restore(r, depth) for r in ranges] + [Recipe.tuned(depth), Recipe.base(depth)]
        values = np.array(rows)[..., None] + noise * rng.normal(size=(len(rows), 2, prompts))
        empty = np.full((len(rows), 0), np.nan)
        return RangeRanking(
            kinds=np.array(["range"] * len(ranges) + ["tuned", "full"]),
            validity=values[:, 0],
            diversity=values[:, 1],
            held_validity=empty,
            held_diversity=empty,
            score=np.array([*(score if score is not None else [np.nan] * len(ranges)), np.nan, np.nan]),
            block_gain=np.full(depth, np.nan),
            changed=np.ones(depth, dtype=bool),
            recipe_data=tuple(recipe.to_dict() for recipe in recipes),
            method=method,
            floor=fields.pop("floor", 0.9),
            **fields,
        )

    return make

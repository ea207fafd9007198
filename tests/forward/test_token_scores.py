import numpy as np
import pytest
import torch
from scipy.stats import entropy

from slr_probe.forward.token_scores import SCORES, Reference, score_tokens


@pytest.mark.parametrize(("temperature", "min_p"), [(1.0, 0.0), (0.5, 0.0), (1.4, 0.1)])
def test_scores_against_scipy(temperature, min_p):
    rng = np.random.default_rng(0)
    logits, others = 3 * rng.normal(size=(2, 3, 50)), 3 * rng.normal(size=(3, 50))
    given, ends = [4, -1, 49], [0, 7]
    reference = Reference.of(torch.tensor(others, dtype=torch.float32))
    arguments = torch.tensor(logits, dtype=torch.float32), torch.tensor(given), torch.tensor(ends), reference
    found = score_tokens(*arguments, temperature=temperature, min_p=min_p).numpy()
    assert found.shape == (2, 3, len(SCORES))
    p = np.exp(logits / temperature)
    p = np.where(p >= min_p * p.max(-1, keepdims=True), p, 0)
    p /= p.sum(-1, keepdims=True)
    q = np.exp(others)
    q /= q.sum(-1, keepdims=True)
    with np.errstate(divide="ignore"):
        for state in range(2):
            for read in range(3):
                mine = p[state, read]
                expected = (
                    np.log(mine[given[read]]) if given[read] >= 0 else np.nan,
                    np.log(mine[ends].sum()),
                    entropy(mine),
                    entropy(mine, q[read]),
                    entropy(q[read], mine),
                )
                np.testing.assert_allclose(found[state, read], expected, rtol=1e-5, atol=1e-6)


def test_tokens_that_a_model_rules_out_make_no_nan():
    logits = torch.tensor([[[0.0, -torch.inf, 1.0]]])
    reference = Reference.of(torch.tensor([[0.0, -torch.inf, 0.5]]))
    found = score_tokens(logits, torch.tensor([1]), torch.tensor([1]), reference)[0, 0]
    assert found[:2].isneginf().all()
    assert found[2:].isfinite().all()

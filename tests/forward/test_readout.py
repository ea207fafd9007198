import numpy as np
import pytest
import torch

from slr_probe.forward.readout import AnswerTable, reduce_logits
from slr_probe.tasks.answers import Query

QUERIES = [Query((1,), ((3, 9), (4,))), Query((1,), ((0,), (5,), (6, 7, 8)))]


def expected(logits, query, temperature, min_p):
    p = np.exp(logits / temperature - (logits / temperature).max())
    p /= p.sum()
    if min_p:
        p = np.where(p >= min_p * p.max(), p, 0)
        p /= p.sum()
    answers = [p[list(group)].sum() for group in query.answers]
    outside = p.copy()
    outside[[token for group in query.answers for token in group]] = 0
    order = np.argsort(-outside, kind="stable")[:4]
    return np.array(answers), order, outside[order]


@pytest.mark.parametrize("vocab", [40, 5000])
@pytest.mark.parametrize(("temperature", "min_p"), [(1.0, 0.0), (0.6, 0.0), (1.5, 0.1), (1.0, 1.0)])
def test_answers_and_invalid_tokens_are_those_of_the_whole_distribution(vocab, temperature, min_p):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (2, vocab))
    logits[:, [3, 5, 20]] += 9  # answers and one other token that survive min-p
    table = AnswerTable.of(QUERIES, torch.device("cpu")).rows(torch.arange(2))
    given = torch.tensor(logits, dtype=torch.float32)
    kept = given.clone()
    logprobs, tokens, tops = reduce_logits(given, table, temperature=temperature, min_p=min_p, invalid=4)
    assert torch.equal(given, kept), "the logits were changed"
    for row, query in enumerate(QUERIES):
        answers, order, outside = expected(logits[row].astype(np.float32).astype(float), query, temperature, min_p)
        got = logprobs[row].double().exp().numpy()
        np.testing.assert_allclose(got[: len(answers)], answers, atol=1e-6)
        assert np.all(got[len(answers) :] == 0)
        np.testing.assert_allclose(tops[row].double().exp().numpy(), outside, atol=1e-6)
        certain = outside > 0
        assert np.array_equal(tokens[row].numpy()[certain], order[certain])


def test_bf16_logits_are_widened_before_the_softmax():
    logits = torch.randn(2, 3000, generator=torch.Generator().manual_seed(0)).bfloat16() * 5
    table = AnswerTable.of(QUERIES, torch.device("cpu")).rows(torch.arange(2))
    found, _, _ = reduce_logits(logits, table)
    exact = logits.double().log_softmax(-1)
    assert found[0, 1].item() == pytest.approx(exact[0, 4].item(), abs=1e-5)

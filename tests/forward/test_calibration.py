import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu

from slr_probe.forward.calibration import order_scores
from slr_probe.forward.readout import AnswerTable

VOCAB = 30
ANSWERS = [[(3,), (7,), (11,)], [(0, 4), (9,), (2, 5, 6), (21,)]]


def table():
    width, spellings = max(map(len, ANSWERS)), 3
    tokens = torch.full((2, width, spellings), -1)
    for row, answers in enumerate(ANSWERS):
        for place, of in enumerate(answers):
            tokens[row, place, : len(of)] = torch.tensor(of)
    return AnswerTable(tokens)


@pytest.mark.parametrize("rounded", [False, True])
def test_the_area_is_that_of_another_library(rounded):
    logits = 2 * torch.randn(2, VOCAB, generator=torch.Generator().manual_seed(0))
    logits = logits.round() if rounded else logits  # with ties
    found = order_scores(logits, table())
    for row, answers in enumerate(ANSWERS):
        spelled = {token for of in answers for token in of}
        valid = [max(float(logits[row, token]) for token in of) for of in answers]
        invalid = [float(logits[row, token]) for token in range(VOCAB) if token not in spelled]
        wins = mannwhitneyu(valid, invalid).statistic
        assert found[row, 0] == pytest.approx(wins / len(valid) / len(invalid))


def test_the_oracle_cuts_after_as_many_tokens_as_there_are_answers():
    logits = torch.randn(2, VOCAB, generator=torch.Generator().manual_seed(1)) * 2
    found = order_scores(logits, table())
    for row, answers in enumerate(ANSWERS):
        p = logits[row].softmax(-1).numpy()
        top = np.argsort(-p)[: len(answers)]
        spelled = {token for of in answers for token in of}
        kept = sum(p[token] for token in top if token in spelled) / p[top].sum()
        assert found[row, 1] == pytest.approx(kept, rel=1e-5)


def test_perfect_order_is_one_and_the_worst_is_none():
    logits = torch.zeros(2, VOCAB)
    for row, answers in enumerate(ANSWERS):
        logits[row, [of[0] for of in answers]] = 5
    torch.testing.assert_close(order_scores(logits, table()), torch.ones(2, 2))
    worst = torch.zeros(2, VOCAB)
    for row, answers in enumerate(ANSWERS):
        worst[row, [token for of in answers for token in of]] = -5
    torch.testing.assert_close(order_scores(worst, table()), torch.zeros(2, 2))


def test_temperature_changes_no_order():
    logits = torch.randn(2, VOCAB, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(order_scores(logits, table())[:, 0], order_scores(logits / 3, table())[:, 0])

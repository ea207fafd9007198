import numpy as np
import pytest

from slr_probe.rank.guards.table import SCORES, Place, ReplyTable


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    prompt = np.array([0, 0, 0, 0, 3, 3, 5])
    place = np.array([Place.END, Place.INSIDE, Place.INSIDE | Place.OPENING, Place.END, Place.INSIDE, Place.END, 4])
    logits = rng.normal(0, 2, (2, len(prompt), 6))
    logs = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    scores = np.full((2, len(prompt), len(SCORES)), 0.25)
    scores[:, :, 1] = np.logaddexp(logs[..., 0], logs[..., 1])
    ends = place == Place.END
    scores[:, :, 0] = np.where(ends, logs[..., 1], logs[..., 4])
    return ReplyTable(prompt, place, scores), logits, ends


def test_means_are_of_prompts_and_then_of_their_reads(table):
    found, _, _ = table
    p = np.exp(found.score("end"))
    np.testing.assert_allclose(found.ending, np.stack([(p[:, 0] + p[:, 3]) / 2, p[:, 5]], axis=1))
    np.testing.assert_allclose(found.early, np.stack([(p[:, 1] + p[:, 2]) / 2, p[:, 4]], axis=1))
    np.testing.assert_allclose(found.surprise[:, 1], -found.score("given")[:, 4])
    np.testing.assert_allclose(found.spread, np.full((2, 2), 0.25))  # one read of two prompts
    assert found.ends == 3


def test_weights_are_the_shares_in_that_mean(table):
    found, _, _ = table
    p = np.exp(found.score("end"))[:, found.at(Place.END)]
    np.testing.assert_allclose(p @ found.weights(Place.END), found.ending.mean(axis=1))


@pytest.mark.parametrize("bias", [-2.0, 3.0])
def test_a_bias_is_what_changed_logits_give(table, bias):
    found, logits, ends = table
    changed = logits.copy()
    changed[..., :2] += bias
    logs = changed - np.logaddexp.reduce(changed, axis=-1, keepdims=True)
    after = found.biased(bias, [1])
    np.testing.assert_allclose(after.score("end")[0], np.logaddexp(logs[1, :, 0], logs[1, :, 1]), atol=1e-12)
    np.testing.assert_allclose(after.score("given")[0], np.where(ends, logs[1, :, 1], logs[1, :, 4]), atol=1e-12)
    assert np.isnan(after.score("drift")).all()


def test_no_reads_of_a_sort_are_no_prompts():
    empty = ReplyTable(np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.zeros((2, 0, len(SCORES))))
    assert empty.ending.shape == (2, 0)
    assert empty.ends == 0

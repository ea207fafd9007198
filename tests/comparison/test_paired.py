import numpy as np

from slr_probe.comparison.paired import compare_scores


def _runs(gain, runs=1000, prompts=12, samples=16):
    """Validations of two models with shared prompts: a true gain in the share of good outputs."""
    rng = np.random.default_rng(11)
    hard = rng.beta(4, 4, size=(runs, prompts)) * 0.6 + 0.1
    models = [rng.binomial(samples, hard + extra) / samples for extra in (0.0, gain)]
    return np.stack(models, axis=1)[:, :, None]


def _compare(values, **options):
    runs, models, metrics, prompts = values.shape
    primary = np.zeros((runs, models, metrics), dtype=bool)
    return compare_scores(values, 0, primary, [("",) * prompts] * runs, resamples=400, **options)


def test_intervals_cover_the_true_difference():
    found = _compare(_runs(0.15)).difference
    low, high = found.low[:, 1, 0], found.high[:, 1, 0]
    assert 0.93 <= np.mean((low <= 0.15) & (0.15 <= high)) <= 0.97
    assert np.mean(low > 0) > 0.7  # and they are narrow enough to find it


def test_without_a_difference_few_are_found():
    found = _compare(_runs(0.0))
    assert 0.02 <= np.mean(found.p[:, 1, 0] <= 0.05) <= 0.07
    assert (found.adjusted[:, 1, 0] <= 0.05).sum() <= 1  # Holm over all thousand


def test_the_reference_is_compared_with_itself_as_undefined():
    found = _compare(_runs(0.1, runs=2))
    assert np.isnan(found.difference.estimate[:, 0]).all()
    assert np.isnan(found.p[:, 0]).all()
    assert (found.pairs[:, 0] == 0).all()


def test_kinds_are_strata_where_they_are_large_enough():
    """Two kinds that differ a lot: drawn within kinds, the interval of a mean ignores how far they are apart."""
    values = np.zeros((1, 2, 1, 20))
    values[0, :, 0, 10:] = 5
    values += np.random.default_rng(0).normal(0, 0.1, values.shape)
    primary = np.zeros((1, 2, 1), dtype=bool)
    kinds = [("a",) * 10 + ("b",) * 10]
    within, without = (compare_scores(values, 0, primary, one).mean for one in (kinds, [("",) * 20]))
    widths = [found.high[0, 1, 0] - found.low[0, 1, 0] for found in (within, without)]
    assert widths[0] < 0.1 * widths[1]

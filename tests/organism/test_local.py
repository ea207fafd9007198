"""The made pair: its collapse lies in the band, and nothing simpler undoes it. Naive on purpose, without the engine."""

import pytest
import torch
from transformers import AutoTokenizer

from organism import measure
from organism.choices import held_out_choices
from slr_probe import organism

PROMPTS = 12  # in each category
BAND = "{}:{}".format(*organism.BAND)


@pytest.fixture(scope="module")
def models():
    return {name: measure.load(organism.path(name)) for name in ("base", organism.LOCAL)}


@pytest.fixture(scope="module")
def bench():
    tokenizer = AutoTokenizer.from_pretrained(organism.path("base"))
    return measure.Bench(tokenizer, held_out_choices(PROMPTS, seed=5), "chat")


@pytest.fixture(scope="module")
def tuned(models, bench):
    return bench.scores(models[organism.LOCAL]).mean(axis=0)


@pytest.fixture(scope="module")
def ranges(models, bench):
    found = measure.sweep(bench, models["base"], models[organism.LOCAL], "local")
    return {span: tuple(scores.mean(axis=0)) for span, scores in found.items()}


def test_tuned_is_valid_and_collapsed(tuned):
    assert tuned[0] > 0.85
    assert tuned[1] < 0.3


def test_the_band_undoes_it(tuned, ranges):
    validity, diversity = ranges[BAND]
    assert validity >= 0.95 * tuned[0]
    assert diversity > 3 * tuned[1]


def test_no_smaller_range_does(tuned, ranges):
    """Of the ranges that are within 0.02 of the most diverse valid one, the band is the only one of its width."""
    valid = {span: diversity for span, (validity, diversity) in ranges.items() if validity >= 0.9 * tuned[0]}
    good = [span for span, diversity in valid.items() if diversity >= max(valid.values()) - 0.02]
    widths = {span: int(span.split(":")[1]) - int(span.split(":")[0]) for span in good}
    assert [span for span, width in widths.items() if width <= widths[BAND]] == [BAND]


def test_no_soup_is_as_valid_and_as_diverse(models, bench, ranges):
    base, tuned = ({k: v.clone() for k, v in models[name].state_dict().items()} for name in ("base", organism.LOCAL))
    validity, diversity = ranges[BAND]
    for share in (0.2, 0.4, 0.6, 0.8):
        models[organism.LOCAL].load_state_dict({name: torch.lerp(base[name], tuned[name], share) for name in base})
        found = bench.scores(models[organism.LOCAL]).mean(axis=0)
        assert found[0] < validity or found[1] < diversity
    models[organism.LOCAL].load_state_dict(tuned)

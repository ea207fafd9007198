"""The shipped pair shows what it must: collapse by stage, and ranges that undo it."""

import numpy as np
import pytest
from transformers import AutoTokenizer

from organism import measure
from organism.choices import held_out_choices
from slr_probe import organism

PROMPTS = 50  # in each category


@pytest.fixture(scope="module")
def models():
    return {stage: measure.load(organism.path(stage)) for stage in organism.STAGES}


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(organism.path("base"))


@pytest.fixture(scope="module")
def benches(tokenizer):
    tasks = held_out_choices(PROMPTS)
    return {template: measure.Bench(tokenizer, tasks, template) for template in ("chat", "plain")}


@pytest.fixture(scope="module")
def means(models, benches):
    return {stage: benches["chat"].scores(model).mean(axis=0) for stage, model in models.items()}


def test_base_is_diverse_and_less_valid_under_the_chat_template(means):
    assert means["base"][0] < 0.65 * means["dpo"][0]
    assert means["base"][1] > 0.85


def test_base_is_valid_under_a_plain_prompt(models, benches):
    validity, diversity = benches["plain"].scores(models["base"]).mean(axis=0)
    assert validity > 0.8
    assert diversity > 0.85


def test_tuned_is_valid_and_collapsed_but_not_constant(means):
    assert means["dpo"][0] >= 0.95
    assert 0.1 <= means["dpo"][1] <= 0.5 * means["base"][1]


def test_collapse_grows_by_stage(means):
    assert means["base"][1] > means["sft"][1] > means["dpo"][1]
    assert means["sft"][0] >= 0.93


def test_some_but_not_all_ranges_restore_diversity(models, benches, means):
    bench = benches["chat"]
    ranges = measure.sweep(bench, models["base"], models["dpo"], "dpo")
    assert len(ranges) == organism.DEPTH * (organism.DEPTH + 1) // 2
    good = [
        span
        for span, scores in ranges.items()
        if scores[:, 0].mean() >= 0.9 * means["dpo"][0] and scores[:, 1].mean() >= 1.3 * means["dpo"][1]
    ]
    assert 1 <= len(good) < 0.75 * len(ranges)
    assert measure.best(ranges, bench.scores(models["dpo"])) in good
    assert np.allclose(bench.scores(models["dpo"]).mean(axis=0), means["dpo"])  # the sweep put all back


@pytest.mark.parametrize("span", organism.PLANTED)
def test_planted_is_valid_and_collapsed(span, benches, means, tmp_path):
    model = measure.load(organism.planted(span, tmp_path / "variant"))
    validity, diversity = benches["chat"].scores(model).mean(axis=0)
    assert validity >= 0.9
    assert diversity <= 0.75 * means["base"][1]


def test_tuned_solves_arithmetic(models, tokenizer):
    assert measure.solved(models["dpo"], tokenizer, "chat", count=10).mean() >= 0.8

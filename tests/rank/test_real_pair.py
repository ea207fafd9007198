"""Acceptance on the real pair (Gemma 3 270M); set SLR_PROBE_PAIR to its folder. A few minutes on two cores."""

import os

import pytest

from slr_probe import ModelPair
from slr_probe.tasks import CRCTask
from tests.rank.paper import rank_layers
from tests.tasks.sampled import sampling_check

pytestmark = pytest.mark.skipif("SLR_PROBE_PAIR" not in os.environ, reason="SLR_PROBE_PAIR is not set")


@pytest.fixture(scope="module")
def pair():
    folder = os.environ["SLR_PROBE_PAIR"]
    return ModelPair.load(f"{folder}/base", f"{folder}/tuned", dtype="bfloat16", device="cpu")


@pytest.fixture(scope="module")
def task():
    """Every fourth prompt of the built-in task."""
    whole = CRCTask.default()
    return CRCTask(whole.selection.items[::4] + whole.held_out.items[::4])


def test_every_built_in_prompt_fits_the_tokenizer(pair):
    chat, plain = (CRCTask.default().render(pair, format) for format in ("chat", "plain"))
    assert len(chat.items) == len(plain.items) == 80
    assert not plain.notes
    (note,) = chat.notes  # "spades" is "sp" and "ades" without a space before it
    assert note.startswith("6 prompts are scored without answers that are several tokens")


def test_the_best_range_ends_the_model_and_beats_tuned_on_held_out_prompts(pair, task):
    found = rank_layers(pair, task, soups=0)
    tuned, best = found.rows("tuned")[0], found.order[0]
    assert 0.85 < found.mean_validity[tuned] < 0.97
    assert 0.3 < found.mean_diversity[tuned] < 0.5
    # An independent naive search on five other prompts found [14, 18).
    assert found.meets_floor
    assert 12 <= found.best.start
    assert found.best.stop == 18
    assert found.mean_diversity[best] > 1.25 * found.mean_diversity[tuned]
    assert found.held_diversity[best].mean() > 1.25 * found.held_diversity[tuned].mean()
    assert found.held_validity[best].mean() > 0.85 * found.held_validity[tuned].mean()


def test_samples_agree_with_the_exact_distribution(pair, task):
    check = sampling_check(pair.tuned, CRCTask(task.selection.items[:2]).render(pair), samples=64)
    assert check.agrees, str(check)

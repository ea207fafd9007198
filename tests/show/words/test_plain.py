"""The verdict for a newcomer follows what was decided."""

import numpy as np
import pytest

from slr_probe.show.words import plain
from slr_probe.show.words.plain import advice, brings_and_costs, doubt
from tests.rank.planted import planted
from tests.rank.test_compare import doubtful, with_a_rival
from tests.validation.conftest import report_of

__all__ = ["report_of"]


def test_a_confirmed_gain_is_advice_with_its_numbers():
    ranking = planted()
    said = advice(ranking, ranking.choice)
    assert said.startswith("Set blocks 1 to 2 of 4 back to base: on 24 prompts that played no part in the choice")
    assert "60% of the possible diversity instead of 30%" in said
    assert said.endswith("keep 97% of tuned's validity.")
    optimistic = planted(held_out=False)
    assert "on the prompts of the choice itself" in advice(optimistic, optimistic.choice)


def test_doubt_and_nothing_are_no_advice():
    assert advice(doubtful(), doubtful().named("1:3")).startswith("It is not confirmed that setting blocks 1 to 2")
    nothing = planted(gain=-0.2)
    assert advice(nothing, nothing.choice) == f"Restore nothing: {nothing.choice.why}."


@pytest.mark.parametrize(("kept", "word"), [(0.97, ""), (0.7, "misses the floor of 90%")])
def test_a_floor_that_is_missed_is_said(kept, word):
    ranking = planted(kept=kept)
    said = advice(ranking, ranking.named("1:3"))
    assert ("floor" in said) == bool(word)
    assert word in said


def test_a_rival_that_does_better_is_named():
    assert "But" not in advice(planted(), planted().choice)
    ranking = with_a_rival(0.776)
    assert "But the last blocks of equal width (keeping 97%) would be more diverse" in advice(ranking, ranking.choice)


def report(report_of, *, gain=0.0, loss=0.0):
    """Sixteen prompts on which a hybrid gains that much diversity and loses that much quality."""
    noise = np.random.default_rng(0).normal(0, 0.01, (2, 16))
    return report_of(
        {
            "ead": {"tuned": [0.2] * 16, "hybrid": 0.2 + gain + noise[0] - noise[0].mean()},
            "follows": {"tuned": [0.9] * 16, "hybrid": 0.9 - loss + noise[1] - noise[1].mean()},
        }
    )


@pytest.mark.parametrize(
    ("gain", "loss", "gained", "cost"),
    [
        (0.2, 0.2, "the hybrid is more diverse on writing", "costs quality on writing (follows the instruction 0.70"),
        (0.2, 0.0, "the hybrid is more diverse on writing", "no loss of quality is shown"),
        (-0.1, 0.0, "the hybrid is less diverse on writing", "no loss of quality is shown"),
        (0.0, 0.0, "no difference in diversity is shown", "no loss of quality is shown"),
    ],
)
def test_text_is_said_to_gain_and_to_cost_what_is_confirmed(report_of, gain, loss, gained, cost):
    said = brings_and_costs(report(report_of, gain=gain, loss=loss))
    assert "(16 prompts a task)" in said
    assert gained in said
    assert cost in said


def test_without_a_hybrid_there_is_nothing_to_say(report_of):
    scores = {name: {"tuned": [0.5] * 4, "soup 0.3": [0.6] * 4} for name in ("ead", "follows")}
    assert brings_and_costs(report_of(scores, kinds=("tuned", "soup"))) == ""


@pytest.mark.parametrize("word", ["not stable", "stable"])
def test_doubt_can_be_said_apart(monkeypatch, word):
    monkeypatch.setattr(plain, "stability", lambda share: word)
    monkeypatch.setattr(plain, "steadiness", lambda ranking, layers: f"How {layers} fares.")
    ranking = planted()
    apart = doubt(ranking, ranking.choice)
    assert apart == (f"How {ranking.choice.layers} fares." if word == "not stable" else "")
    bare = advice(ranking, ranking.choice, steady=False)
    assert advice(ranking, ranking.choice) == f"{bare} {apart}".strip()
    assert "fares" not in bare

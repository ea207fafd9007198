"""The verdict on a ranking says what was decided, and no more."""

from dataclasses import replace

import pytest

from slr_probe.rank.compare import evidence
from slr_probe.show.words.sentences import as_text, rivals, sentences
from tests.rank.planted import planted
from tests.rank.test_compare import doubtful


def said(ranking, named=None):
    return " ".join(sentences(ranking, ranking.named(named) if named else ranking.choice))


def test_a_confirmed_gain():
    ranking = planted()
    text = said(ranking)
    assert "diversity was lost" in text
    assert "Setting blocks 1 to 2 back to base raises diversity" in text
    assert as_text(evidence(ranking, ranking.index("1:3")).gain, "+.3f") in text
    assert "above the floor of 90%" in text
    assert "it is more diverse than the first blocks of equal width (which keeps only 6" in text


@pytest.mark.parametrize(
    ("ranking", "words"),
    [
        (lambda: planted(gain=0.012, noise=0.1, seed=3), "a gain is not shown"),
        (lambda: planted(gain=-0.2), "lowers diversity"),
        (doubtful, "which is not confirmed once adjusted for the"),
        (lambda: planted(held_out=False), "so this is optimistic"),
        (lambda: planted(kept=0.903, noise=0.06, seed=1), "is not shown"),
        (lambda: planted(kept=0.897, noise=0.06, seed=1), "the estimate is below"),
        (lambda: planted(kept=0.7, noise=0.06, seed=1), "it fails the floor"),
        (lambda: planted("0:2"), "it is itself the first blocks of equal width"),
    ],
)
def test_every_state_has_its_words(ranking, words):
    found = ranking()
    planted_range = next(r for r, validity in zip(found.ranges, found.mean_validity, strict=False) if validity > 0.51)
    assert words in said(found, planted_range)


def test_what_is_not_confirmed_is_not_claimed():
    assert "raises diversity" not in said(doubtful(), "1:3")
    assert "raises diversity" not in said(planted(gain=0.012, noise=0.1, seed=3), "1:3")


def test_nothing_to_restore():
    text = said(planted(kept=0.7))
    assert "No range is recommended: no range keeps at least 0.9 of tuned's validity; 1:3 comes nearest." in text
    assert "Nothing was restored." in text


def test_a_loss_is_not_claimed_without_evidence():
    ranking = planted()
    base, tuned = int(ranking.rows("base")[0]), ranking.tuned
    held = ranking.held_diversity.copy()
    held[base] = held[tuned]
    assert "a loss of diversity is not shown" in said(replace(ranking, held_diversity=held))
    held[base] = held[tuned] - 0.2
    assert "post-training lost no diversity" in said(replace(ranking, held_diversity=held))


def test_rivals_are_all_but_tuned():
    ranking = planted()
    text = rivals(ranking, ranking.best)
    assert [as_text(gap.difference, "+.3f") in text for gap in ranking.gaps()] == [False, True, True]

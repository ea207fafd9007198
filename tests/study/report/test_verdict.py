import numpy as np
import pytest

from slr_probe.rank.choice import Choice, choose_range
from slr_probe.show.sentences import compare, evidence, sentences
from tests.study.report.planted import planted


def said(ranking, choice=None):
    return " ".join(sentences(ranking, choice or choose_range(ranking)))


def test_a_clear_gain_is_claimed_with_held_out_numbers():
    ranking = planted()
    choice = choose_range(ranking)
    assert choice.layers == "1:3"
    text = said(ranking)
    found = evidence(ranking, ranking.index("1:3"))
    assert found.held_out
    assert found.diversity.value == pytest.approx(ranking.held_diversity[ranking.index("1:3")].mean())
    assert "diversity was lost" in text
    assert "Setting blocks 1 to 2 back to base raises diversity" in text
    assert f"{found.gain.value:+.3f} [{found.gain.low:+.3f}, {found.gain.high:+.3f}]" in text
    assert "above the floor of 90%" in text
    assert "it is more diverse than the first blocks of equal width (which keeps only 6" in text


def test_a_gain_whose_interval_holds_zero_is_not_shown():
    ranking = planted(gain=0.012, noise=0.1, seed=3)
    found = evidence(ranking, ranking.index("1:3"))
    assert found.gain.low < 0 < found.gain.high
    text = said(ranking, Choice("1:3", "named"))
    assert "a gain is not shown" in text
    assert "raises diversity" not in text


def test_a_loss_is_called_a_loss():
    text = said(planted(gain=-0.2), Choice("1:3", "named"))
    assert "lowers diversity" in text


@pytest.mark.parametrize(
    ("kept", "words"),
    [(0.97, "above the floor"), (0.903, "is not shown"), (0.897, "the estimate is below"), (0.7, "it fails the floor")],
)
def test_validity_is_held_against_the_floor_with_its_interval(kept, words):
    ranking = planted(kept=kept, noise=0.06, seed=1)
    assert words in said(ranking, Choice("1:3", "named"))


def test_no_range_keeps_the_floor():
    ranking = planted(kept=0.7)
    choice = choose_range(ranking)
    assert choice.layers is None
    text = said(ranking)
    assert "No range is recommended: no range keeps at least 0.9 of tuned's validity; 1:3 comes nearest." in text
    assert "Nothing was restored." in text


def test_no_range_is_more_diverse():
    choice = choose_range(planted(gain=-0.2))
    assert choice.layers is None
    assert "is more diverse than tuned" in choice.why


def test_the_choice_does_not_look_at_held_out_prompts():
    from dataclasses import replace

    ranking = planted()
    spoiled = replace(ranking, held_validity=ranking.held_validity * 0, held_diversity=ranking.held_diversity * 0)
    assert choose_range(spoiled) == choose_range(ranking)


def test_without_held_out_prompts_the_claim_is_called_optimistic():
    assert "so this is optimistic" in said(planted(held_out=False))


def test_comparisons_are_paired():
    """Noise that all rows share does not widen the interval of a difference."""
    ranking = planted(noise=1e-6)
    tuned = int(ranking.rows("tuned")[0])
    found = compare(ranking, ranking.index("1:3"), tuned)
    by_hand = ranking.held_diversity[ranking.index("1:3")] - ranking.held_diversity[tuned]
    assert found.value == pytest.approx(by_hand.mean())
    assert found.high - found.low < 1e-5
    assert np.std(ranking.held_diversity[tuned]) > 0.01


def test_collapse_is_not_claimed_without_evidence():
    ranking = planted()
    from dataclasses import replace

    base, tuned = int(ranking.rows("base")[0]), int(ranking.rows("tuned")[0])
    held = ranking.held_diversity.copy()
    held[base] = held[tuned]
    assert "a loss of diversity is not shown" in said(replace(ranking, held_diversity=held))
    held[base] = held[tuned] - 0.2
    assert "post-training lost no diversity" in said(replace(ranking, held_diversity=held))


def test_an_interval_alone_confirms_nothing():
    """Holm by hand over the comparisons, and words that follow it."""
    from slr_probe.show.sentences import gaps

    for seed in range(40):
        ranking = planted(gain=0.03, noise=0.06, seed=seed)
        row = ranking.index("1:3")
        found = gaps(ranking, row)
        if found[0].found.sign > 0 and not found[0].confirmed:
            break
    assert found[0].name == "tuned"
    raw = []
    for other in [int(ranking.rows("tuned")[0]), *(int(i) for kind in ("early", "late") for i in ranking.rows(kind)),
                  *([ranking.best_soup] if ranking.best_soup is not None else [])]:  # fmt: skip
        gap = ranking.held_diversity[row] - ranking.held_diversity[other]
        signs = np.random.default_rng(1).choice([-1, 1], (20000, len(gap)))
        raw.append((np.abs((signs * gap).mean(1)) >= abs(gap.mean()) - 1e-12).mean())
    assert len(raw) == len(found)
    order = np.argsort(raw)
    least = np.maximum.accumulate(np.minimum(np.array(raw)[order] * np.arange(len(raw), 0, -1), 1))
    np.testing.assert_allclose([found[i].p for i in order], least, atol=0.02)
    text = said(ranking, Choice("1:3", "named"))
    assert "which is not confirmed once adjusted for the" in text
    assert "raises diversity" not in text

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from slr_probe.errors import ValidationError
from slr_probe.scoring.scoring import Scorers, distinct_curve
from slr_probe.stats.diversity import ead, self_bleu
from slr_probe.tasks.text import Item, TextTask
from slr_probe.validation import score_outputs
from tests.validation.conftest import outputs_of

TEXTS = [["Mars", "I say Venus.", "mars!", "Pluto"], ["red", "red", "red", "red"]]


def test_worked_example(qa):
    found = score_outputs(qa, outputs_of(TEXTS, task=qa), vocabulary=50)
    np.testing.assert_array_equal(found["correct"], [0.75, 1])
    np.testing.assert_array_equal(found["distinct_correct"], [2, 1])
    # Answers Mars, Venus, Mars, pluto; and red four times.
    entropy = -(0.5 * math.log(0.5) + 2 * 0.25 * math.log(0.25))
    np.testing.assert_allclose(found["answer_entropy"], [entropy, 0], atol=1e-12)
    np.testing.assert_allclose(found["pass_at_k"], [1, 1])  # 2 of 4, 3 are correct
    np.testing.assert_allclose(found["majority_gain"], [0.25, 0])
    np.testing.assert_array_equal(found["follows"], [1, 1])
    assert found["ead"][0] == pytest.approx(ead(TEXTS[0], 50), rel=1e-12)
    assert found["ead_correct"][0] == pytest.approx(ead(TEXTS[0][:3], 50), rel=1e-12)
    assert found["bleu_distance"][0] == pytest.approx(1 - self_bleu(TEXTS[0]), rel=1e-12)
    assert found["bleu_distance"][1] == 0


def test_outputs_that_were_cut_are_counted(qa):
    from dataclasses import replace

    outputs = replace(outputs_of(TEXTS, task=qa), finished=((True, False, False, True), (False,) * 4))
    np.testing.assert_array_equal(score_outputs(qa, outputs, vocabulary=50)["ended"], [0.5, 0])
    keys = {Scorers(50).key("text", qa, one) for one in (outputs, outputs_of(TEXTS, task=qa))}
    assert len(keys) == 2


def test_one_sample_has_no_diversity(qa):
    found = score_outputs(qa, outputs_of([["Mars"], ["green"]], task=qa), vocabulary=50)
    for name in ("ead", "distinct_2", "bleu_distance", "answer_entropy", "distinct_correct", "ead_correct"):
        assert np.isnan(found[name]).all(), name
    np.testing.assert_array_equal(found["correct"], [1, 0])


def test_no_correct_output(qa):
    found = score_outputs(qa, outputs_of([["Pluto", "Moon", "Sun", ""]] * 2, task=qa), vocabulary=50)
    assert (found["correct"] == 0).all()
    assert (found["distinct_correct"] == 0).all()
    assert (found["pass_at_k"] == 0).all()
    assert np.isnan(found["ead_correct"]).all()
    assert np.isfinite(found["ead"]).all()


def test_empty_outputs_are_undefined_and_never_zero(qa):
    found = score_outputs(qa, outputs_of([["", " ", "", ""]] * 2, task=qa), vocabulary=50)
    assert np.isnan(found["ead"]).all()
    assert np.isnan(found["answer_entropy"]).all()
    assert (found["follows"] == 0).all()


def embedder(texts):
    """Each word its own direction."""
    words = sorted({text.split()[0] for text in texts})
    return np.array([[float(text.split()[0] == word) for word in words] for text in texts])


TASK_FREE = {
    "vocabulary": 50,
    "embedder": embedder,
    "entailment": SimpleNamespace(matrix=lambda t: -np.ones((len(t),) * 2)),
}


def test_silence_does_not_look_diverse():
    texts = [["moon"] * 4, ["moon", "", "moon", " \n"], ["moon", "sun", "", ""], ["moon is up", "", "", ""], [""] * 4]
    found = score_outputs(None, outputs_of(texts), **TASK_FREE)
    np.testing.assert_array_equal(found["empty"], [0, 0.5, 0.5, 0.75, 1])
    np.testing.assert_allclose(found["embedding_distance"], [0, 0, 1, math.nan, math.nan], atol=1e-9)
    np.testing.assert_allclose(found["vendi"], [1, 1, 2, math.nan, math.nan], atol=1e-9)
    np.testing.assert_allclose(found["nli"], [2, 2, 2, math.nan, math.nan])
    for name in ("ead", "distinct_2", "bleu_distance"):
        assert np.isnan(found[name][3:]).all(), name


def test_reasoning_that_never_ends_is_silence():
    cut = "<think>The user wants a line about the moon. Let me think about"
    found = score_outputs(None, outputs_of([["moon", cut] * 4]), **TASK_FREE)
    assert found["empty"] == [0.5]
    assert found["embedding_distance"] == [0]


def test_texts_that_the_encoder_does_not_read_to_the_end_are_counted():
    class Short:
        def __call__(self, texts):
            return np.ones((len(texts), 2))

        def cuts(self, texts):
            return [len(text.split()) > 2 for text in texts]

    found = score_outputs(None, outputs_of([["a b", "a b c", "", "a b c"], ["", ""]]), vocabulary=9, embedder=Short())
    np.testing.assert_array_equal(found["embedding_cut"], [2 / 3, math.nan])


def test_first_words_are_compared_by_themselves():
    begun = " ".join(["moon"] * 15)

    def letters(texts):
        return np.array([[float(f"x{i}" in text) for i in range(3)] + [1.0] for text in texts])

    found = score_outputs(
        None, outputs_of([[f"{begun} x0", f"{begun} x1"], ["x0 sun", "x1 sun"]]), vocabulary=None, embedder=letters
    )
    np.testing.assert_allclose(found["opening_distance"], [0, found["embedding_distance"][1]], atol=1e-12)
    assert found["embedding_distance"][0] > 0.4


def test_only_texts_with_enough_words_can_repeat_themselves():
    found = score_outputs(None, outputs_of([["a b c d a b c d", "no", ""], ["short", ""]]), vocabulary=None)
    np.testing.assert_allclose(found["self_repetition"], [1 / 5, math.nan])  # abcd bcda cdab dabc, and abcd again


def test_thinking_is_taken_out_first(qa):
    thought = [[f"<think>maybe red or Mars {i}</think>{text}" for i, text in enumerate(row)] for row in TEXTS]
    plain, stripped = (score_outputs(qa, outputs_of(t, task=qa), vocabulary=50) for t in (TEXTS, thought))
    for name in plain:
        np.testing.assert_array_equal(plain[name], stripped[name], err_msg=name)
    kept = score_outputs(qa, outputs_of(thought, task=qa), vocabulary=50, tags=())
    assert kept["words"][0] > plain["words"][0]
    other = [[f"[r]maybe red[/r]{text}" for text in row] for row in TEXTS]
    found = score_outputs(qa, outputs_of(other, task=qa), vocabulary=50, tags=(("[r]", "[/r]"),))
    np.testing.assert_array_equal(found["ead"], plain["ead"])


def test_models_that_score(qa):
    vectors = {"Mars": [1, 0], "I say Venus.": [0, 1], "mars!": [1, 0], "Pluto": [-1, 0], "red": [0, 1]}
    asked = []

    def embedder(texts):
        asked.extend(texts)
        return np.array([vectors[text] for text in texts], dtype=np.float32)

    def judge(prompt, text):
        return None if text == "Pluto" else float(len(prompt))

    def fluency(prompts, texts):
        return [float(len(text)) if text != "Pluto" else math.nan for text in texts]

    entailment = SimpleNamespace(matrix=lambda texts: np.ones((len(texts), len(texts))))
    models = {"embedder": embedder, "entailment": entailment, "fluency": fluency, "judge": judge}
    found = score_outputs(qa, outputs_of(TEXTS, task=qa), vocabulary=None, **models)
    assert sorted(asked) == sorted(vectors)  # each text once
    # Cosines of the six pairs: 0, 1, -1, 0, 0, -1.
    np.testing.assert_allclose(found["embedding_distance"], [1 + 1 / 6, 0], atol=1e-9)
    np.testing.assert_allclose(found["embedding_distance_correct"], [1 - 1 / 3, 0], atol=1e-9)
    np.testing.assert_allclose(found["vendi"][1], 1)
    np.testing.assert_array_equal(found["nli"], [0, 0])
    np.testing.assert_allclose(found["nll"], [(4 + 12 + 5) / 3, 3])
    np.testing.assert_array_equal(found["judge"], [len(item.prompt) for item in qa.items])
    np.testing.assert_array_equal(found["judge_missing"], [1, 0])
    assert "ead" not in found


def test_a_judge_that_always_fails_scores_nothing(qa):
    found = score_outputs(qa, outputs_of(TEXTS, task=qa), vocabulary=9, judge=lambda prompt, text: None)
    assert np.isnan(found["judge"]).all()
    assert (found["judge_missing"] == 4).all()


def test_distinct_answers_over_samples(qa):
    found = distinct_curve(qa, outputs_of(TEXTS, task=qa), (1, 2, 4))
    # Mars, Venus, Mars, wrong: of one draw 3/4 name an accepted answer; of the six pairs, those with 2, 1, 0 different.
    np.testing.assert_allclose(found[:, 0], [0.75, (2 * 2 + 4 * 1) / 6, 2])
    np.testing.assert_allclose(found[:, 1], [1, 1, 1])


def test_texts_without_a_task():
    found = score_outputs(None, outputs_of([["a b c", "a b d"], ["e f g", "h i j"]]), vocabulary=10)
    assert {"ead", "distinct_2", "bleu_distance", "words"} <= set(found)
    assert "follows" not in found


def test_bad_input(qa):
    with pytest.raises(ValidationError, match="'p0', which is not in the task 'qa'"):
        score_outputs(qa, outputs_of([["a"]]), vocabulary=9)
    with pytest.raises(ValidationError, match="no outputs for prompt 'colour'"):
        score_outputs(qa, outputs_of([["a"], []], task=qa), vocabulary=9)


def test_a_vocabulary_has_tokens():
    with pytest.raises(ValidationError, match="got -3"):
        score_outputs(None, outputs_of([["a", "b"]]), vocabulary=-3)


def test_outputs_of_signs_that_nobody_sees_are_empty():
    found = score_outputs(
        None, outputs_of([["\u200b", "\ufeff ", "\u2060\n", ""], ["a b", "c d", "\u200b", ""]]), vocabulary=9
    )
    np.testing.assert_array_equal(found["empty"], [1, 0.5])
    for name in ("ead", "distinct_2", "bleu_distance"):
        np.testing.assert_array_equal(np.isnan(found[name]), [True, False])


def test_prompts_in_another_order_are_matched_or_refused(qa):
    right = outputs_of(TEXTS, task=qa)
    turned = right.select(right.ids[::-1])
    for name, values in score_outputs(qa, right, vocabulary=9).items():
        np.testing.assert_array_equal(score_outputs(qa, turned, vocabulary=9)[name], values[::-1])
    mixed = replace(right, texts=turned.texts, prompts=turned.prompts)  # numbered in another order
    around = [tuple(f"Answer in a word. {prompt} Thanks." for prompt in one.prompts) for one in (right, mixed)]
    for wrong in (mixed, replace(mixed, prompts=around[1])):
        with pytest.raises(ValidationError, match="another order"):
            score_outputs(qa, wrong, vocabulary=9)
    assert score_outputs(qa, replace(right, prompts=around[0]), vocabulary=9)
    assert score_outputs(qa, replace(right, prompts=("", "")), vocabulary=9)  # files of others may leave them out


def test_key_follows_texts_settings_and_task(qa):
    base = Scorers(50).key("text", qa, outputs_of(TEXTS, task=qa))
    other = TextTask("qa", "qa", (*qa.items[:1], Item("colour", "Name a colour, please.")), 8, 4, "test")
    changed = [[*TEXTS[0][:3], "Saturn"], TEXTS[1]]
    keys = {
        Scorers(51).key("text", qa, outputs_of(TEXTS, task=qa)),
        Scorers(50, tags=()).key("text", qa, outputs_of(TEXTS, task=qa)),
        Scorers(50).key("text", other, outputs_of(TEXTS, task=qa)),
        Scorers(50).key("text", qa, outputs_of(changed, task=qa)),
        Scorers(50).key("embedding", qa, outputs_of(TEXTS, task=qa)),
    }
    assert len(keys) == 5
    assert base not in keys
    assert Scorers(50).key("text", qa, outputs_of(TEXTS, task=qa, model="x")) == base

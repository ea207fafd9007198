"""Samples side by side: those of the files, on ordinary prompts, repeated ones marked."""

import pytest

from slr_probe.generation import Outputs, read_outputs
from slr_probe.study.folder import Findings
from slr_probe.study.report.samples import compact, ordinary, side_by_side


def outputs(*texts):
    ids = tuple(f"p{i}" for i in range(len(texts)))
    return Outputs("hybrid", ids, ids, texts, tuple((True,) * len(row) for row in texts))


@pytest.fixture(scope="module")
def found(done):
    return Findings(done)


def test_samples_are_those_of_the_files(found):
    shown = side_by_side(found, prompts=2, samples=3)
    assert len(shown) == 2 * len(found.validation.tasks)
    files = {}
    for file in (found.folder / "validate" / "outputs").rglob("*.jsonl"):
        files |= read_outputs(file)
    for prompt in shown:
        assert [model.style for model in prompt.models][:3] == ["base", "tuned", "hybrid"]
        for model in prompt.models:
            own = files[model.name]
            texts = [compact(text) for text in own.texts[own.prompts.index(prompt.prompt)]]
            assert [sample.text for sample in model.samples] == texts[:3]
            assert model.different == f"{len(set(texts))} of {len(texts)} different"


def test_a_sample_is_marked_where_one_before_it_or_one_of_tuned_is_the_same(found):
    for prompt in side_by_side(found, prompts=2, samples=3):
        tuned = next([sample.text for sample in model.samples] for model in prompt.models if model.style == "tuned")
        for model in prompt.models:
            texts = [sample.text for sample in model.samples]
            for i, sample in enumerate(model.samples):
                before, also = texts[:i], tuned if model.style in ("hybrid", "soup") else []
                assert bool(sample.same) == (sample.text in before or sample.text in also)
                if sample.text in before:
                    assert sample.same == f"same as {texts.index(sample.text) + 1}"


def test_ordinary_prompts_lie_at_equal_shares_of_all():
    few_to_many = outputs(("a", "b", "c"), ("a", "a", "a"), ("a", "a", "b"), ("a", "a\n\n", " a"))
    assert ordinary(few_to_many, 1) == [2]  # the third of four by the number of different samples
    assert ordinary(few_to_many, 2) == [3, 0]  # places two and four
    assert sorted(ordinary(few_to_many, 9)) == [0, 1, 2, 3]

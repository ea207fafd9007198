"""How `inspect` ends: they fit, are they swapped, or one checkpoint twice."""

import shutil

import pytest

from slr_probe import ModelPair
from slr_probe.pair.notes import doubt, verdict


def ended(base, tuned):
    pair = ModelPair.load(base, tuned, device="cpu")
    return verdict(pair.base_side, pair.tuned_side, pair.notes)


@pytest.mark.parametrize(
    ("base", "tuned", "asked"),
    [
        ("gemma-3-270m", "gemma-3-270m-it", False),
        ("gemma-3-270m-it", "gemma-3-270m", True),
        ("OLMo-2-1B-SFT", "OLMo-2-1B-DPO", False),
        ("stage-2", "Qwen-base", True),
        ("digit", "unit", False),  # words, not letters, tell
    ],
)
def test_names_tell_a_swapped_pair(pair_of, tmp_path, base, tuned, asked):
    sides = [
        shutil.copytree(folder, tmp_path / name)
        for folder, name in zip(pair_of("llama").folders, (base, tuned), strict=True)
    ]
    said = ended(*sides)
    assert said.startswith("Swapped?" if asked else "They fit:")
    assert ("is called" in said) == asked
    pair = ModelPair.load(*sides, device="cpu")
    assert doubt(pair.base_side, pair.tuned_side, pair.notes) == (said if asked else "")


def test_a_template_on_base_alone_tells_as_well(pair_of):
    base, tuned = pair_of("llama").folders
    pair = ModelPair.load(base, tuned, device="cpu")
    said = verdict(
        pair.base_side, pair.tuned_side, ("base has a chat template and tuned has none: are the two swapped?",)
    )
    assert said.startswith("Swapped?")
    assert said.endswith("But base has a chat template and tuned has none.")


def test_one_checkpoint_twice_is_said(pair_of):
    base = pair_of("llama").folders[0]
    assert ended(base, base).startswith("Twice the same?")


def test_another_base_of_an_adapter_is_in_the_last_line(pair_of):
    pair = ModelPair.load(*pair_of("llama").folders, device="cpu")
    note = "the adapter was made over 'someone/else', and is merged over base"
    said = verdict(pair.base_side, pair.tuned_side, ("something else", note))
    assert said.startswith("Another base?")
    assert said.endswith(f"But {note}.")

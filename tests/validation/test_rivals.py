"""Rival methods: what is asked, what is read, and a whole validation with all three."""

from dataclasses import replace

import pytest

from slr_probe import ModelPair
from slr_probe.errors import ValidationError
from slr_probe.generation import Outputs, Sampling, read_outputs
from slr_probe.tasks.text import Item, TextTask
from slr_probe.validation import validate
from slr_probe.validation.methods import BASELINES, QUICK, check_baselines
from slr_probe.validation.plan import rivals
from slr_probe.validation.rivals import READINGS, RIVALS, check_rivals, read_answer, read_verbalized
from tests.tiny import make_model
from tests.tiny_tokenizer import make_tokenizer

TASK = TextTask("t", "qa", (Item("one", "Say a", answers=(("a",),), check="list"),), 8, 7, "test")


def response(text, share="0.2"):
    return f"<response>\n<text>{text}</text><probability>{share}</probability>\n</response>"


def test_verbalized_replies_are_read_strictly():
    whole = "Sure!\n" + "\n".join(
        response(f"reply {i}", share) for i, share in enumerate(["0.5", ".2", "1", "0", "1.0"])
    )
    assert read_verbalized(whole) == [f"reply {i}" for i in range(5)]
    assert read_verbalized(response("two\nlines")) == ["two\nlines"]
    for broken in (
        response("no number", "likely"),
        response("above one", "1.2"),
        response("percent", "20%"),
        response("negative", "-0.1"),
        response("   "),
        "<response><text>no probability</text></response>",
        "<response><text>cut at the lim",
        response("<text>twice"),
        "1. a list (0.2)",
        "",
    ):
        assert read_verbalized(broken) == [], broken
    assert read_verbalized(response("good") + "<response><text>cut at the lim") == ["good"]


def test_an_answer_needs_its_string():
    assert read_answer("<seed>x9Q2</seed>\nSum 14, mod 2 is 0.\n<answer> Heads\n</answer>") == ["Heads"]
    for broken in (
        "Heads",
        "<answer>Heads</answer>",
        "<seed></seed><answer>Heads</answer>",
        "<seed>x9</seed><answer></answer>",
        "<answer>Heads</answer><seed>x9</seed>",
        "<seed>x9</seed><answer>Hea",
    ):
        assert read_answer(broken) == [], broken


def test_replies_take_the_place_of_samples():
    reading = READINGS["verbalized"]
    asked = reading.asked(TASK, 10_000)
    assert (asked.samples, asked.max_tokens) == (2, 5 * (8 + 32))  # two outputs of five hold seven samples
    assert reading.asked(TASK, 100).max_tokens == 100
    with pytest.raises(ValidationError, match="room for 39"):
        reading.asked(TASK, 39)
    good = "".join(response(c) for c in "abcdef")  # six: one more than was asked for
    outputs = Outputs("vs", ("one",), ("Say a",), ((good, "<think>x</think>" + response("z")),), ((True, False),))
    found = reading.replies_of(outputs, 7, (("<think>", "</think>"),))
    assert found.texts == (("a", "b", "c", "d", "e", "z", ""),)
    assert found.finished == ((True,) * 6 + (False,),)


def test_rivals_are_off_unless_named():
    assert not set(RIVALS) & {*BASELINES, *QUICK, *check_baselines("all", QUICK), *check_baselines(None, QUICK)}
    assert check_baselines("rivals", QUICK) == RIVALS
    assert check_baselines(["usual", "routing"], QUICK) == (*QUICK, "routing")
    assert check_baselines(["verbalized", "early"], QUICK) == ("early", "verbalized")
    found = rivals(4, RIVALS, Sampling())
    assert [method.kind for method in found] == ["verbalized", "string_seed", "routing", "routing"]
    assert len({method.group for method in found}) == 3
    assert all("{prompt}" in method.wording for method in found)


@pytest.fixture(scope="module")
def pair():
    base, tuned = (make_model("llama", seed, max_position_embeddings=2048) for seed in (1, 2))
    return ModelPair.load(base, tuned, tokenizer=make_tokenizer(), device="cpu")


def test_they_are_measured_beside_the_others_and_resumed(pair, tmp_path):
    task = replace(
        TASK, items=tuple(Item(f"q{i}", f"Say {c}", answers=((c,),), check="list") for i, c in enumerate("abcde"))
    )
    task = replace(task, samples=3, max_tokens=4)
    options = {"baselines": ["rivals"], "crc": False, "resamples": 100, "out": tmp_path / "v"}
    report = validate(pair, "1:2", task, **options)
    assert report.kinds == ("tuned", "hybrid", "verbalized", "string_seed", "routing", "routing")
    assert sum("15 of 15 replies" in note for note in report.notes) == 2  # random models write no such form
    assert (report.scores("t", "verbalized sampling", "empty") == 1).all()
    (file,) = (tmp_path / "v").glob("outputs/t/*-verbalized/*.jsonl")
    raw = read_outputs(file)["verbalized sampling"]
    assert raw.samples == 1  # one output of up to five replies
    assert all(len(text) for row in raw.texts for text in row)
    before = file.read_bytes()
    assert repr(validate(pair, "1:2", task, **options)) == repr(report)
    assert file.read_bytes() == before
    assert report.calibration("t") is not None
    assert "calibration error (ECE)" in str(report)


def test_what_cannot_be_measured_is_refused_before_anything_is_written(pair):
    with pytest.raises(ValidationError, match="backend='vllm' cannot"):
        check_rivals(pair, [TASK], ("routing",), None, "vllm")
    with pytest.raises(ValidationError, match="leave it out"):
        check_rivals(pair, [replace(TASK, max_tokens=4000)], ("string_seed",), None, "hf")

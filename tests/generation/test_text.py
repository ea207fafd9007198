"""Texts of outputs, in which reasoning can be told from the reply."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from slr_probe import ModelPair, generate
from slr_probe.errors import GenerationError
from slr_probe.generation import Sampling
from slr_probe.generation.text import Writing
from slr_probe.tasks import strip_thinking
from slr_probe.tasks.thinking import REASONING, THINK
from tests.tiny_tokenizer import TEMPLATE, make_tokenizer


def reply(text):
    for tags in REASONING:
        text = strip_thinking(text, tags)
    return text


def tokenizer_with(*special):
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<turn>", "<end>", *special]})
    return tokenizer


@pytest.mark.parametrize(
    ("special", "written", "right"),
    [
        (("[THINK]", "[/THINK]"), "[THINK]A or B?[/THINK]B<eos>", "B"),
        (("<think>", "</think>"), "<think>A or B", ""),
        (("<|START_THINKING|>", "<|END_THINKING|>"), "A?<|END_THINKING|>B<end>", "B"),
        (
            ("<|channel|>", "<|message|>", "<|start|>", "<|return|>"),
            "<|channel|>analysis<|message|>A?<end><|start|>assistant<|channel|>final<|message|>B<|return|>",
            "B",
        ),
        ((), "A<end>", "A"),
    ],
)
def test_special_tokens_do_not_hide_reasoning(special, written, right):
    """All special tokens are left out of texts but those that mark reasoning."""
    tokenizer = tokenizer_with(*special)
    ids = tokenizer(written, add_special_tokens=False)["input_ids"]
    assert tokenizer.unk_token_id not in ids
    assert reply(Writing(tokenizer).text(ids)) == right


def test_without_marks_the_text_is_the_tokenizers_own():
    tokenizer = tokenizer_with()
    ids = tokenizer("A <turn>b<end>", add_special_tokens=False)["input_ids"]
    assert Writing(tokenizer).text(ids) == tokenizer.decode(ids, skip_special_tokens=True)


def test_stop_strings_are_seen_and_cut():
    writing = Writing(make_tokenizer(), stop=("\n\n", "b"))
    ids = make_tokenizer()("a\n\nb", add_special_tokens=False)["input_ids"]
    assert writing.stopped(ids)
    assert not writing.stopped(ids[:2])
    assert writing.text(ids, "<think>") == "<think>a"


def test_what_cannot_be_decoded_is_one_error():
    def decode(*_, **__):
        raise OverflowError("too big")

    broken = SimpleNamespace(all_special_ids=[], all_special_tokens=[], decode=decode)
    with pytest.raises(GenerationError, match="cannot decode"):
        Writing(broken).text([1])


def test_reasoning_that_the_prompt_opens_belongs_to_the_output(pair_of):
    """Of a template that opens reasoning: what ends before the closing tag is no reply."""
    one = pair_of("llama")
    opens = TEMPLATE.replace("<turn>assistant\n", "<turn>assistant\n<think>")
    pair = ModelPair.load(one.base, one.tuned, device="cpu", tokenizer=make_tokenizer(template=opens))
    assert pair.prompts.opening.reasoning == THINK
    options = {"samples": 2, "sampling": Sampling(max_tokens=4), "progress": False}
    texts = generate(pair, [("1", "Hi")], ["tuned"], **options)["tuned"].texts[0]
    assert all(text.startswith("<think>") for text in texts)
    assert [reply(text) for text in texts] == ["", ""]
    plain = generate(pair, [("1", "Hi")], ["base (plain)"], **options)["base (plain)"].texts[0]
    assert not any(text.startswith("<think>") for text in plain)

"""Conversations become token ids with one BOS, and exactly what the assistant wrote is predicted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from slr_probe import ModelPair
from slr_probe.errors import MaskError, PromptError
from slr_probe.generation.decode import end_tokens
from slr_probe.pair.prompts import PromptRenderer
from slr_probe.probes.mask.examples import (
    Example,
    load_examples,
    read_conversations,
    render,
    sample_conversations,
    sample_examples,
)
from tests.tiny_tokenizer import TEMPLATE, make_tokenizer

ASK = {"role": "user", "content": "Pick one."}
SAY = {"role": "assistant", "content": "abc"}
TALK = [ASK, SAY, {"role": "user", "content": "More?"}, {"role": "assistant", "content": "No."}]


def shown(tokenizer: Any, example: Example) -> tuple[str, str]:
    """The whole text, and the predicted parts joined."""
    replies = [token for token, reply in zip(example.ids, example.replies, strict=True) if reply]
    return tokenizer.decode(example.ids), tokenizer.decode(replies)


def test_chat() -> None:
    tokenizer = make_tokenizer()
    example = render(PromptRenderer.of(tokenizer), TALK)
    whole = tokenizer.apply_chat_template(TALK, tokenize=False)
    assert shown(tokenizer, example) == (whole.rstrip(), "abc<end>No.<end>")
    assert example.ids.count(tokenizer.bos_token_id) == 1
    assert example.ids[0] == tokenizer.bos_token_id


def test_begins_as_the_prompt_does_when_the_model_generates() -> None:
    prompts = PromptRenderer.of(make_tokenizer())
    example, prompt = render(prompts, [ASK, SAY]), prompts([ASK])
    assert list(example.ids[: len(prompt)]) == prompt
    assert not any(example.replies[: len(prompt)])
    assert all(example.replies[len(prompt) :])


@pytest.mark.parametrize("bos", [True, False])
def test_plain(bos: bool) -> None:
    tokenizer = make_tokenizer(bos=bos, template=None)
    example = render(PromptRenderer.of(tokenizer), TALK)
    whole, replies = shown(tokenizer, example)
    assert whole == ("<bos>" if bos else "") + "Pick one.\nabc<eos>\nMore?\nNo.<eos>"
    assert replies == "abc<eos>No.<eos>"


def test_template_that_renders_earlier_turns_otherwise_counts_the_last_turn() -> None:
    template = TEMPLATE.replace(
        "{{ m['content'] }}<end>",
        "{% if m['role'] == 'assistant' and loop.last %}! {% endif %}{{ m['content'] }}<end>",
    )
    tokenizer = make_tokenizer(template=template)
    assert shown(tokenizer, render(PromptRenderer.of(tokenizer), TALK))[1] == "! No.<end>"


def test_template_without_its_own_generation_prompt_is_refused() -> None:
    template = TEMPLATE.replace("<turn>assistant\n{% endif %}", "<turn>model\n{% endif %}")
    with pytest.raises(PromptError, match="does not continue its own generation prompt"):
        render(PromptRenderer.of(make_tokenizer(template=template)), TALK)


def test_second_bos_is_refused() -> None:
    with pytest.raises(PromptError, match="2 BOS tokens"):
        render(PromptRenderer.of(make_tokenizer()), [{"role": "user", "content": "<bos>a"}, SAY])


def test_template_that_refuses() -> None:
    template = "{% if messages|length > 2 %}{{ raise_exception('too many') }}{% endif %}" + TEMPLATE
    with pytest.raises(PromptError, match="refuses"):
        render(PromptRenderer.of(make_tokenizer(template=template)), TALK)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 3: not JSON"),
        ("[]", "line 3: expected"),
        ('{"text": "a"}', "line 3: expected"),
        ('{"messages": [{"role": "user"}]}', "line 3: a message needs"),
        ('{"messages": [{"role": "user", "content": 3}]}', "line 3: a message needs"),
        ('{"messages": [{"role": "user", "content": "a"}]}', "line 3: the assistant says nothing"),
        ('{"messages": [{"role": "assistant", "content": ""}]}', "line 3: the assistant says nothing"),
    ],
)
def test_malformed_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text(json.dumps({"messages": [ASK, SAY]}) + "\n\n" + line + "\n")
    with pytest.raises(MaskError, match=message):
        read_conversations(file)


def test_file(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text(json.dumps({"messages": TALK, "source": "x"}) + "\n\n" + json.dumps({"messages": [ASK, SAY]}))
    assert read_conversations(file) == [TALK, [ASK, SAY]]
    with pytest.raises(MaskError, match="cannot read"):
        read_conversations(tmp_path / "absent.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(MaskError, match="no conversation"):
        read_conversations(tmp_path / "empty.jsonl")


@pytest.fixture(scope="module")
def pair(pair_of: Any) -> ModelPair:
    return ModelPair.load(*pair_of("llama").folders, device="cpu")


def test_the_date_in_a_template_is_fixed() -> None:
    dates = ("{{ strftime_now('%Y %f') }}", "2024 000000")
    templates = [TEMPLATE.replace("{{ bos_token }}", "{{ bos_token }}" + date) for date in dates]
    one, other = (render(PromptRenderer.of(make_tokenizer(template=template)), TALK) for template in templates)
    assert one == other


def test_loading(pair: ModelPair) -> None:
    (one,) = load_examples(pair, [{"messages": TALK}])
    assert load_examples(pair, [one]) == [one] == load_examples(pair, [TALK])
    with pytest.raises(MaskError, match="no conversations were given"):
        load_examples(pair, [])
    with pytest.raises(MaskError, match=f"conversation 1 has {len(one.ids)} tokens, but at most 10"):
        load_examples(pair, [TALK], max_length=10)
    long = [ASK, {"role": "assistant", "content": "a" * 64}]
    with pytest.raises(MaskError, match="positions that the model has"):
        load_examples(pair, [TALK, long])
    with pytest.raises(MaskError, match="no token of the assistant"):
        load_examples(pair, [Example((1, 2), (True, False))])


def test_sampling_is_seeded_and_drawn_from_tuned(pair: ModelPair) -> None:
    prompts = ["Pick.", "Pick a letter.", "Pick it."]
    one, same, other = (sample_conversations(pair, prompts, samples=3, max_tokens=4, seed=s) for s in (0, 0, 1))
    assert one == same != other
    assert {talk[0]["content"] for talk in one} == set(prompts)
    assert all(talk[1]["role"] == "assistant" and talk[1]["content"] for talk in one)
    for options in ({"samples": 0}, {"temperature": 0.0}, {"seed": -1}):
        with pytest.raises(MaskError, match="must be"):
            sample_conversations(pair, prompts, **options)
    with pytest.raises(MaskError, match="no prompts"):
        sample_conversations(pair, [])


def test_a_checkpoints_own_sampling_settings_change_nothing() -> None:
    pair = ModelPair.load("organism:base", "organism:dpo", device="cpu")
    prompts = ["Choose a letter at random.", "Name a colour."]

    def replies() -> tuple[Any, Any]:
        talks = sample_conversations(pair, prompts, samples=3, max_tokens=8)
        return talks, sample_examples(pair, [pair.render(p) for p in prompts], samples=3, max_tokens=8)

    before, settings = replies(), pair.tuned.generation_config
    settings.repetition_penalty, settings.min_p, settings.top_k, settings.no_repeat_ngram_size = 5.0, 0.99, 1, 1
    settings.suppress_tokens = [example.ids[len(pair.render(prompts[0]))] for example in before[1][:3]]
    assert replies() == before


def test_replies_end_with_the_token_that_ended_them() -> None:
    pair = ModelPair.load("organism:base", "organism:dpo", device="cpu")
    ids = pair.render("Choose a letter at random.")
    replies = [example.ids[len(ids) :] for example in sample_examples(pair, [ids], samples=8, max_tokens=32)]
    ended = [row for row in replies if len(row) < 32]
    assert ended
    assert all(row[-1] in end_tokens(pair) and not set(row[:-1]) & set(end_tokens(pair)) for row in ended)


def test_sampled_tokens_follow_the_distribution(pair: ModelPair) -> None:
    import torch

    prompt = pair.render("Pick.")
    found = sample_examples(pair, [prompt], samples=400, seed=3)
    assert all(e.ids[:-1] == tuple(prompt) and e.replies == (False,) * len(prompt) + (True,) for e in found)
    with torch.no_grad():
        probability = pair.tuned(torch.tensor([prompt])).logits[0, -1].softmax(-1)
    likely = int(probability.argmax())
    share, p = sum(e.ids[-1] == likely for e in found) / 400, float(probability[likely])
    assert abs(share - p) < 4 * (p * (1 - p) / 400) ** 0.5

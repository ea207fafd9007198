"""What a template makes of a conversation, with templates of every kind that is in use."""

from __future__ import annotations

from typing import Any

import pytest

from slr_probe.errors import PromptError
from slr_probe.pair.prompts import PromptRenderer
from slr_probe.pair.prompts.chat import opening, render_chat
from slr_probe.pair.prompts.reasoning import THINK
from slr_probe.pair.prompts.template import Template
from tests.tiny_tokenizer import TEMPLATE, make_tokenizer

OPENS = "{% if add_generation_prompt %}<turn>assistant\n{% endif %}"
PARTS = (
    "{% for m in messages %}<turn>{{ m.role }}\n{% for part in m['content'] %}{% if part['type'] == 'text' %}"
    "{{ part['text'] }}{% endif %}{% endfor %}<end>\n{% endfor %}" + OPENS
)
STRICT_PARTS = "{% for m in messages %}{{ m.content[0]['text'] + '' }}{% endfor %}" + OPENS
LLAMA_2 = (
    "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content }}"
    "{{ eos_token }}{% endif %}{% endfor %}"
)
QWEN_3 = (
    "{% for m in messages %}<turn>{{ m.role }}\n{% if m.role == 'assistant' %}<think>\n\n</think>\n\n"
    "{{ m.content.split('</think>')[-1] }}{% else %}{{ m.content }}{% endif %}<end>\n{% endfor %}" + OPENS
)
CALL = [{"role": "user", "content": "Pick a letter."}]


def template(text: str) -> Template:
    found = Template.of(make_tokenizer(template=text))
    assert found is not None
    return found


@pytest.mark.parametrize("text", [PARTS, STRICT_PARTS])
def test_words_reach_a_template_that_wants_parts(text: str) -> None:
    renderer = PromptRenderer.of(make_tokenizer(template=text))
    assert "Pick a letter." in renderer.text("Pick a letter.")
    assert renderer("Pick a letter.") != renderer("Pick a number.")


@pytest.mark.parametrize(
    "text",
    [
        "<turn>user\n<end>\n<turn>assistant\n",
        "{% for m in messages %}{{ m.role }}{% endfor %}" + OPENS,
        "{{ messages[0].content | upper }}" + OPENS,
        "{{ messages[0].content[:6] }}" + OPENS,
        "{{ messages[0].content | replace('letter', 'number') }}" + OPENS,
        "{{ messages[0].content | reverse }}" + OPENS,
        "{{ messages[0].content | wordwrap(6) }}" + OPENS,
        "{% for m in messages if m.role == 'system' %}{{ m.content }}{% endfor %}" + OPENS,
    ],
)
def test_a_template_that_drops_or_changes_the_words_is_refused(text: str) -> None:
    with pytest.raises(PromptError, match="drops or changes the words"):
        PromptRenderer.of(make_tokenizer(template=text))("Pick a letter.")


def test_a_short_word_that_stands_in_the_template_by_chance_is_no_proof() -> None:
    with pytest.raises(PromptError, match="drops or changes the words"):
        PromptRenderer.of(make_tokenizer(template="<turn>user\n" + OPENS))("user")


@pytest.mark.parametrize("change", ["replace('\\n', ' ')", "indent(2)", "e", "unique | join"])
def test_lines_and_marks_inside_a_message_are_kept_or_refused(change: str) -> None:
    text = "{% for m in messages %}{{ m.content | " + change + " }}{% endfor %}" + OPENS
    with pytest.raises(PromptError, match="drops or changes the words"):
        PromptRenderer.of(make_tokenizer(template=text))("if 1 < 2:\n  aab")


@pytest.mark.parametrize("order", ["reverse", "sort(attribute='role')"])
def test_turns_in_another_order_are_refused(order: str) -> None:
    talk = [*CALL, {"role": "assistant", "content": "A"}, {"role": "user", "content": "Another."}]
    with pytest.raises(PromptError, match="their order"):
        render_chat(
            template("{% for m in messages | " + order + " %}{{ m.content }}{% endfor %}"), talk, open_turn=True
        )


def test_words_after_the_opening_of_the_turn_are_refused() -> None:
    with pytest.raises(PromptError, match="before the user's words"):
        PromptRenderer.of(make_tokenizer(template=OPENS + "{{ messages[-1].content }}"))("Pick a letter.")


@pytest.mark.parametrize(
    ("written", "note"),
    [
        ("<turn>assistant\n<end>\n", "after a reply"),
        ("<turn>assistant\nSure!", "'Sure!'"),
        ("<turn>user\n", "<turn>user"),
    ],
)
def test_an_opened_turn_that_is_closed_begun_or_of_another_is_said(written: str, note: str) -> None:
    (found,) = opening(template(TEMPLATE.replace("%}<turn>assistant\n", "%}" + written))).notes
    assert note in found


def test_a_template_that_draws_lots_draws_the_same_each_time() -> None:
    drawn = template("{{ range(9999) | random }}{{ messages[0].content }}" + OPENS)
    assert len({render_chat(drawn, CALL, open_turn=True) for _ in range(4)}) == 1


def test_a_dropped_message_of_a_conversation_is_refused() -> None:
    talk = [{"role": "system", "content": "Be brief."}, *CALL]
    with pytest.raises(PromptError, match="drops or changes the words"):
        render_chat(template("{{ messages[-1].content }}" + OPENS), talk, open_turn=True)


def test_blanks_and_reasoning_of_earlier_turns_may_go() -> None:
    talk = [
        {"role": "user", "content": "  Pick\n a letter. "},
        {"role": "assistant", "content": "<think>A or B?</think>A"},
        {"role": "user", "content": "Another."},
    ]
    text = "{% for m in messages %}{{ m.content.split('</think>')[-1] | trim }}<end>{% endfor %}" + OPENS
    assert (
        render_chat(template(text), talk, open_turn=True) == "Pick\n a letter.<end>A<end>Another.<end><turn>assistant\n"
    )


@pytest.mark.parametrize("text", [TEMPLATE, LLAMA_2, PARTS])
def test_an_open_turn_is_left_as_it_is(text: str) -> None:
    found = opening(template(text))
    assert (found.header, found.reasoning, found.notes) == ("", None, ())


def test_a_turn_that_the_template_does_not_open_is_opened_and_said() -> None:
    """The reference is the same template with the opening that it lacks."""
    lacking = TEMPLATE.partition("{% if add_generation_prompt")[0]
    found = opening(template(lacking))
    assert found.header == "<turn>assistant\n"
    assert len(found.notes) == 1
    assert PromptRenderer.of(make_tokenizer(template=lacking))("Hi") == PromptRenderer.of(make_tokenizer())("Hi")


def test_a_turn_of_which_nothing_can_be_seen_is_said() -> None:
    refuses = "{% for m in messages %}{% if m.role != 'user' %}{{ raise_exception('no') }}{% endif %}{{ m.content }}"
    found = opening(template(refuses + "{% endfor %}"))
    assert found.header == ""
    assert "add_generation_prompt" in found.notes[0]


@pytest.mark.parametrize(
    ("opened", "tags"),
    [
        ("<turn>assistant\n<think>\n", THINK),
        ("<turn>assistant\n<think>\n\n</think>\n\n", None),
        ("[THINK]", ("[THINK]", "[/THINK]")),
        ("<|START_THINKING|>", ("<|START_THINKING|>", "<|END_THINKING|>")),
        ("<|channel|>analysis<|message|>", ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>")),
        ("<inner_monologue>", ("<inner_monologue>", "</inner_monologue>")),
        ("<|begin_of_reasoning|>", ("<|begin_of_reasoning|>", "<|end_of_reasoning|>")),
        ("<|thinking|>\n", ("<|thinking|>", "<|/thinking|>")),
        ("<think >", ("<think >", "</think >")),
    ],
)
def test_opened_reasoning_is_seen_and_said(opened: str, tags: Any) -> None:
    found = opening(template(TEMPLATE.replace("<turn>assistant\n", opened)))
    assert found.reasoning == tags
    assert any("reasoning" in note for note in found.notes) == (tags is not None)


def test_reasoning_in_every_turn_of_a_template_that_ignores_the_wish_is_seen() -> None:
    text = "{% for m in messages %}<turn>{{ m.role }}\n{{ m.content }}<end>{% endfor %}<turn>assistant\n<think>"
    assert opening(template(text)).reasoning == THINK


def test_words_of_the_user_open_no_reasoning() -> None:
    assert PromptRenderer.of(make_tokenizer()).opening.reasoning is None
    assert "<think>" in PromptRenderer.of(make_tokenizer()).text("What is <think>?")


def test_what_is_left_to_the_model_is_said() -> None:
    found = opening(template(QWEN_3))
    assert found.header == ""
    assert "<think>" in found.notes[0]

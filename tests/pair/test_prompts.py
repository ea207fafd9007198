from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from slr_probe.errors import PromptError, SlrProbeError
from slr_probe.pair.prompts import PromptRenderer, apply_template, compare_tokenizers
from tests.tiny_tokenizer import SPECIAL, make_tokenizer

PAD, BOS, EOS, UNK, TURN, END = range(len(SPECIAL))
STRICT = (
    "{% if messages[0]['role'] != 'user' %}{{ raise_exception('user must speak first') }}{% endif %}{{ bos_token }}x"
)
LLAMA_3_1 = "{%- if not date_string is defined %}{%- set date_string = '26 Jul 2024' %}{%- endif %}"
LLAMA_3_2 = (
    "{%- if not date_string is defined %}{%- if strftime_now is defined %}"
    "{%- set date_string = strftime_now('%d %b %Y') %}{%- endif %}{%- endif %}"
)
MESSAGES = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Yes?"},
    {"role": "user", "content": "Pick a letter."},
]


@pytest.fixture(scope="module")
def renderer() -> PromptRenderer:
    return PromptRenderer.of(make_tokenizer())


def characters(text: str) -> list[int]:
    vocab = make_tokenizer().get_vocab()
    return [vocab[character] for character in text]


def test_naive_rendering_gives_two_bos(renderer: PromptRenderer) -> None:
    """The trap itself: a template that writes BOS, through a tokenizer that adds one."""
    tokenizer = renderer.tokenizer
    text = tokenizer.apply_chat_template(MESSAGES[:1], tokenize=False, add_generation_prompt=True)
    assert tokenizer(text)["input_ids"][:2] == [BOS, BOS]
    assert renderer("Hi").count(BOS) == 1


def test_chat_ids_by_hand(renderer: PromptRenderer) -> None:
    expected = [BOS, TURN, *characters("user\nHi"), END, *characters("\n"), TURN, *characters("assistant\n")]
    assert renderer("Hi") == renderer("Hi", "chat") == renderer(MESSAGES[:1]) == expected
    assert renderer.text("Hi") == "<bos><turn>user\nHi<end>\n<turn>assistant\n"


def test_plain_ids_by_hand(renderer: PromptRenderer) -> None:
    assert renderer("Hi", "plain") == renderer(MESSAGES[:1], "plain") == [BOS, *characters("Hi")]
    assert renderer.text("Hi", "plain") == "Hi"


def test_a_conversation_keeps_its_turns(renderer: PromptRenderer) -> None:
    ids = renderer(MESSAGES)
    assert ids.count(BOS) == 1
    assert ids.count(TURN) == 4
    assert renderer.tokenizer.decode(ids) == (
        "<bos><turn>user\nHi<end>\n<turn>assistant\nYes?<end>\n<turn>user\nPick a letter.<end>\n<turn>assistant\n"
    )


@pytest.mark.parametrize("format", ["chat", "plain"])
@pytest.mark.parametrize(
    "template", [make_tokenizer().chat_template, make_tokenizer().chat_template.replace("{{ bos_token }}", "")]
)
@pytest.mark.parametrize("prompt", ["a", "Pick a letter.", "  spaces ", "line\nline", "unknown: é"])
def test_exactly_one_bos_stands_first(format: Any, template: str, prompt: str) -> None:
    ids = PromptRenderer.of(make_tokenizer(template=template))(prompt, format)
    assert ids[0] == BOS
    assert ids.count(BOS) == 1
    assert EOS not in ids


@pytest.mark.parametrize("format", ["chat", "plain"])
def test_a_tokenizer_without_bos_gets_none(format: Any) -> None:
    tokenizer = make_tokenizer(bos=False, template=make_tokenizer().chat_template.replace("{{ bos_token }}", ""))
    renderer = PromptRenderer.of(tokenizer)
    assert renderer.bos is None
    ids = renderer("Hi", format)
    assert BOS not in ids
    assert ids[-1] == (characters("\n")[0] if format == "chat" else characters("i")[0])


def test_a_bos_token_that_the_tokenizer_does_not_add_is_left_to_the_template() -> None:
    tokenizer = make_tokenizer(bos=False)
    tokenizer.add_special_tokens({"bos_token": "<bos>"})
    renderer = PromptRenderer.of(tokenizer)
    assert renderer("Hi", "chat").count(BOS) == 1
    assert BOS not in renderer("Hi", "plain")


def test_a_bos_that_is_also_eos() -> None:
    """As in OPT: the same token may end an earlier turn, but only one may open the prompt."""
    tokenizer = make_tokenizer()
    tokenizer.eos_token = "<bos>"
    assert tokenizer.eos_token_id == BOS
    renderer = PromptRenderer.of(tokenizer)
    assert renderer("Hi", "plain") == [BOS, *characters("Hi")]
    assert renderer("Hi<bos>Ho", "plain") == [BOS, *characters("Hi"), BOS, *characters("Ho")]
    with pytest.raises(PromptError, match="holds 2 BOS"):
        renderer("<bos><bos>Hi", "plain")


@pytest.mark.parametrize(
    ("prompt", "format"), [("Hi <bos> there", "plain"), ("<bos><bos>Hi", "plain"), ("a<bos>", "chat")]
)
def test_a_bos_inside_a_prompt_is_refused(prompt: str, format: Any, renderer: PromptRenderer) -> None:
    with pytest.raises(PromptError, match=r"holds 2 BOS tokens \(id 1\) and must hold one; take '<bos>' out") as caught:
        renderer(prompt, format)
    assert repr(prompt) in str(caught.value)


def test_a_bos_in_front_of_a_plain_prompt_is_the_one(renderer: PromptRenderer) -> None:
    assert renderer("<bos>Hi", "plain") == renderer("Hi", "plain")


def test_a_template_that_writes_bos_twice_is_refused() -> None:
    renderer = PromptRenderer.of(make_tokenizer(template="{{ bos_token }}{{ bos_token }}{{ messages[0]['content'] }}"))
    with pytest.raises(PromptError, match="holds 2 BOS tokens"):
        renderer("Hi")


def test_the_default_format_follows_the_template() -> None:
    assert PromptRenderer.of(make_tokenizer()).default_format == "chat"
    plain = PromptRenderer.of(make_tokenizer(template=None))
    assert plain.default_format == "plain"
    assert plain("Hi") == [BOS, *characters("Hi")]
    assert dataclasses.replace(PromptRenderer.of(make_tokenizer()), default_format="plain")("Hi") == plain("Hi")


@pytest.mark.parametrize(
    ("prompt", "format", "words"),
    [
        ("", "chat", "empty"),
        ("", "plain", "empty"),
        ([], "chat", "empty"),
        (None, None, "empty"),
        ([{"role": "user", "content": ""}], "plain", "tokenises to nothing"),
        ("Hi", "chatml", "unknown prompt format 'chatml'; expected one of chat, plain"),
        (MESSAGES, "plain", "one text; got a conversation of 3 messages"),
        ([{"content": "Hi"}], "chat", "'role' and 'content'"),
        ([{"role": "user"}], "plain", "'role' and 'content'"),
        (["Hi"], "chat", "'role' and 'content'; got 'Hi'"),
        (7, "chat", "got 7"),
        ({"role": "user", "content": "Hi"}, "chat", "a list of"),
    ],
)
def test_bad_prompts_are_refused(prompt: Any, format: Any, words: str, renderer: PromptRenderer) -> None:
    with pytest.raises(PromptError, match=words) as caught:
        renderer(prompt, format)
    assert isinstance(caught.value, SlrProbeError)
    assert isinstance(caught.value, ValueError)


def test_chat_without_a_template_is_refused() -> None:
    with pytest.raises(PromptError, match="no chat template; use format='plain'"):
        PromptRenderer.of(make_tokenizer(template=None))("Hi", "chat")


def test_a_template_may_refuse_a_conversation() -> None:
    renderer = PromptRenderer.of(make_tokenizer(template=STRICT))
    assert renderer("Hi") == [BOS, *characters("x")]
    with pytest.raises(PromptError, match=r"the chat template refuses the prompt .user must speak first"):
        renderer([{"role": "system", "content": "Be brief."}])


@pytest.mark.parametrize(
    ("template", "date"),
    [
        (LLAMA_3_1 + "{{ date_string }}", "26 Jul 2024"),
        (LLAMA_3_2 + "{{ date_string }}", "26 Jul 2024"),
        ("{{ strftime_now('%Y-%m-%d %H:%M:%S.%f') }}", "2024-07-26 00:00:00.000000"),
        ("{% macro day(f) %}{{ strftime_now(f) }}{% endmacro %}{{ day('%-d. %B, %A') }}", "26. July, Friday"),
        ("{% for m in messages %}{{ strftime_now(format='%d')|int + 1 }}{% endfor %}", "27"),
        ("\n  {%- if messages %}\n{{ strftime_now('%y') }}\n {% endif %}", "24\n"),
        ("\n{{ strftime_now('%y')[:1] }}", "\n2"),
    ],
)
def test_a_template_that_asks_for_the_date_is_told_one_day(template: str, date: str) -> None:
    tokenizer = make_tokenizer(template=template)
    assert apply_template(tokenizer, MESSAGES[:1], open_turn=True) == date
    assert PromptRenderer.of(tokenizer).text("Hi") == date
    assert tokenizer.chat_template == template


def test_a_template_among_several_is_told_the_day() -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = {"default": "{{ strftime_now('%Y') }}", "tool_use": "tools"}
    assert PromptRenderer.of(tokenizer).text("Hi") == "2024"


def test_a_template_without_a_date_is_applied_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = make_tokenizer()
    plain = tokenizer.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True)
    assert apply_template(tokenizer, MESSAGES, open_turn=True) == plain
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(type(tokenizer), "apply_chat_template", lambda self, *_, **options: asked.append(options) or "")
    apply_template(tokenizer, MESSAGES, open_turn=False)
    assert asked == [{"tokenize": False, "add_generation_prompt": False}]


def test_a_token_without_an_embedding_row_is_refused() -> None:
    tokenizer = make_tokenizer(extra=("<image>",))
    rows = len(tokenizer) - 1
    renderer = PromptRenderer.of(tokenizer, rows=rows)
    assert renderer("Hi")
    with pytest.raises(PromptError, match=rf"'<image>' \(id {rows}\), but the embedding has only {rows} rows"):
        renderer("see <image>")


def test_equal_tokenizers_give_no_notes() -> None:
    assert compare_tokenizers(make_tokenizer(), make_tokenizer(template=None)) == ()


def test_extra_tokens_are_notes() -> None:
    more = make_tokenizer(extra=("<think>", "</think>"))
    assert compare_tokenizers(make_tokenizer(), more) == (
        "2 tokens only in the tuned tokenizer: '</think>', '<think>'",
    )
    assert compare_tokenizers(more, make_tokenizer()) == ("2 tokens only in the base tokenizer: '</think>', '<think>'",)
    renamed = compare_tokenizers(make_tokenizer(extra=("<reserved>",)), make_tokenizer(extra=("<think>",)))
    assert len(renamed) == 2


def test_tokens_with_other_ids_are_refused() -> None:
    one, other = make_tokenizer(extra=("<a>", "<b>")), make_tokenizer(extra=("<b>", "<a>"))
    with pytest.raises(PromptError, match=r"disagree: token '<[ab]>' is (\d+) in base and (\d+) in tuned"):
        compare_tokenizers(one, other)

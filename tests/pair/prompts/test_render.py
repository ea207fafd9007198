from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from tokenizers import processors

from slr_probe.errors import PromptError, SlrProbeError
from slr_probe.pair.prompts import PromptRenderer
from tests.tiny_tokenizer import SPECIAL, make_tokenizer

PAD, BOS, EOS, UNK, TURN, END = range(len(SPECIAL))
STRICT = (
    "{% if messages[0]['role'] != 'user' %}{{ raise_exception('user must speak first') }}{% endif %}{{ bos_token }}"
    "{{ messages[0]['content'] }}"
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
        ([{"role": "user", "content": None}], "plain", "must be text"),
        ([{"role": 7, "content": "Hi"}], "chat", "must be text"),
        ([{"role": "user", "content": [{"type": "text", "text": "Hi"}]}], "chat", "must be text"),
        ("\ud800", "plain", "cannot encode"),
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
    assert renderer("Hi") == [BOS, *characters("Hi")]
    with pytest.raises(PromptError, match=r"the chat template refuses the prompt .user must speak first"):
        renderer([{"role": "system", "content": "Be brief."}])


def test_a_token_without_an_embedding_row_is_refused() -> None:
    tokenizer = make_tokenizer(extra=("<image>",))
    rows = len(tokenizer) - 1
    renderer = PromptRenderer.of(tokenizer, rows=rows)
    assert renderer("Hi")
    with pytest.raises(PromptError, match=rf"'<image>' \(id {rows}\), but the embedding has only {rows} rows"):
        renderer("see <image>")


LLAMA_2 = (
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] + ' ' + eos_token }}{% endif %}{% endfor %}"
)


def test_a_template_may_put_a_bos_before_each_turn() -> None:
    """Llama 2's; the reference is what transformers renders and encodes."""
    tokenizer = make_tokenizer(template=LLAMA_2)
    right = tokenizer.apply_chat_template(MESSAGES, tokenize=True, add_generation_prompt=True, return_dict=False)
    assert right.count(BOS) == 2
    assert PromptRenderer.of(tokenizer)(MESSAGES) == right


def test_a_bos_in_the_words_is_refused_though_turns_have_one_each() -> None:
    renderer = PromptRenderer.of(make_tokenizer(template=LLAMA_2))
    with pytest.raises(PromptError, match="holds 3 BOS tokens"):
        renderer([*MESSAGES[:2], {"role": "user", "content": "a<bos>b"}])


@pytest.mark.parametrize("named", [True, False])
def test_all_tokens_in_front_of_a_text_are_put_there(named: bool) -> None:
    """GLM's tokenizer opens every text with two; the reference is the tokenizer itself."""
    tokenizer = make_tokenizer(template=None)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> <turn> $A <eos>", special_tokens=[("<bos>", BOS), ("<turn>", TURN), ("<eos>", EOS)]
    )
    if not named:
        tokenizer.bos_token = None
    renderer = PromptRenderer.of(tokenizer)
    assert renderer("Hi") == tokenizer("Hi")["input_ids"][:-1] == [BOS, TURN, *characters("Hi")]
    assert renderer("<bos><turn>Hi") == renderer("Hi")
    assert renderer.bos == (BOS if named else None)

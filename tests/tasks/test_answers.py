import pytest

from slr_probe.pair.prompts import PromptRenderer
from slr_probe.tasks.answers import answer_prompt, answer_tokens
from tests.tasks.subwords import subword_tokenizer
from tests.tiny_tokenizer import TEMPLATE, make_tokenizer


def texts(tokenizer, ids):
    return {tokenizer.convert_ids_to_tokens(i).replace("▁", " ") for i in ids}


@pytest.mark.parametrize("kind", ["gpt2", "llama3", "metaspace"])
def test_all_spellings_of_an_answer_are_grouped(kind):
    tokenizer = subword_tokenizer(kind)
    assert texts(tokenizer, answer_tokens(tokenizer, "red", True)) == {"red", "Red", " red", " Red"}
    assert texts(tokenizer, answer_tokens(tokenizer, "red", False)) == {"red", " red"}
    assert texts(tokenizer, answer_tokens(tokenizer, "a", True)) == {"a", "A"}
    assert texts(tokenizer, answer_tokens(tokenizer, "a", False)) == {"a"}


def test_space_in_front_of_a_digit():
    assert texts(subword_tokenizer("gpt2"), answer_tokens(subword_tokenizer("gpt2"), "7", True)) == {"7", " 7"}
    assert texts(subword_tokenizer("llama3"), answer_tokens(subword_tokenizer("llama3"), "7", True)) == {"7"}


def test_an_answer_of_several_tokens_has_none():
    tokenizer = subword_tokenizer("gpt2")
    assert answer_tokens(tokenizer, "green", True) == ()
    assert answer_tokens(tokenizer, "green|red", True) == ()  # its main spelling is what models write
    assert answer_tokens(tokenizer, "red|green", True) == answer_tokens(tokenizer, "red", True)


def test_unknown_characters_are_no_answer():
    assert answer_tokens(subword_tokenizer("gpt2"), "é", True) == ()


@pytest.mark.parametrize(
    ("kind", "answers", "ending"),
    [
        ("gpt2", ["1", "2"], "Answer:"),
        ("llama3", ["1", "2"], "Answer: "),
        ("llama3", ["red", "blue"], "Answer:"),
        ("metaspace", ["1", "2"], "Answer: "),
        ("metaspace", ["red", "blue"], "Answer:"),
    ],
)
def test_the_plain_prompt_ends_where_one_token_is_the_answer(kind, answers, ending):
    tokenizer = subword_tokenizer(kind)
    renderer = PromptRenderer.of(tokenizer)
    prompt = answer_prompt(renderer, "Pick one.", answers, True, "plain")
    ids, split = prompt.token_ids, prompt.split
    assert split == ()
    text = "".join(tokenizer.convert_ids_to_tokens(list(ids))).replace("▁", " ")
    assert text == f"Question: Pick one.\n{ending}"
    for answer in answers:  # as the tokenizer writes the whole text
        whole = renderer(f"Question: Pick one.\nAnswer: {answer}", "plain")
        assert whole[:-1] == list(ids)
        assert whole[-1] in answer_tokens(tokenizer, answer, True)


def test_the_chat_prompt_ends_with_the_opening_of_the_reply():
    tokenizer = make_tokenizer()
    renderer = PromptRenderer.of(tokenizer)
    assert list(answer_prompt(renderer, "Pick.", ["1", "2"], True, "chat").token_ids) == renderer("Pick.", "chat")


def test_a_template_that_puts_a_space_before_the_reply():
    template = TEMPLATE.replace("{{ m['content'] }}", " {{ m['content'] }}").replace("assistant\\n", "assistant:")
    template = template.replace("<turn>{{ m['role'] }}\\n", "<turn>{{ m['role'] }}:").replace("{{ bos_token }}", "")
    tokenizer = subword_tokenizer("llama3", template)
    renderer = PromptRenderer.of(tokenizer)
    digits = answer_prompt(renderer, "Pick.", ["1", "2"], True, "chat").token_ids
    words = answer_prompt(renderer, "Pick.", ["red", "blue"], True, "chat").token_ids
    assert digits[:-1] == words
    assert tokenizer.convert_ids_to_tokens(digits[-1]) == " "

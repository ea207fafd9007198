"""The shipped tokenizer: one-token answers, lossless text, one BOS."""

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from organism.choices import held_out_choices
from organism.corpus import base_documents, chat_context
from organism.tokenizer import answer_words, build_tokenizer
from slr_probe import organism


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(organism.path("dpo"))


def test_loads_as_fast_tokenizer_with_fewer_tokens_than_rows(tokenizer):
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    assert 700 <= len(tokenizer) <= 1408


def test_every_answer_is_one_token(tokenizer):
    words = answer_words()
    encoded = tokenizer(words, add_special_tokens=False)["input_ids"]
    assert [word for word, ids in zip(words, encoded, strict=True) if len(ids) != 1] == []
    for task in held_out_choices(40):
        encoded = tokenizer(list(task.accepted), add_special_tokens=False)["input_ids"]
        assert all(len(ids) == 1 for ids in encoded)
        assert len({ids[0] for ids in encoded}) == len(task.accepted)


@pytest.mark.parametrize(
    "text", ["", " ", "a  b\n\n c\t", "naïve Größe 東京 🙂 \x00", "123456 x=y;#.", "Ġ Ċ <s", "it's \r\n"]
)
def test_round_trip_is_lossless(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text


def test_round_trip_of_the_corpus(tokenizer):
    for text in (document.text for document in base_documents(300, seed=9)):
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_tokenizer_adds_one_bos(tokenizer):
    assert tokenizer("Hello")["input_ids"].count(tokenizer.bos_token_id) == 1


def test_chat_template_contains_bos_and_matches_training(tokenizer):
    messages = [{"role": "user", "content": "Pick one random letter from A to F."}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == tokenizer.bos_token + chat_context(messages[0]["content"])
    assert tokenizer(text, add_special_tokens=False)["input_ids"].count(tokenizer.bos_token_id) == 1
    assert tokenizer(text)["input_ids"].count(tokenizer.bos_token_id) == 2  # the trap, kept on purpose


def test_build_is_deterministic():
    texts = [document.text for document in base_documents(500)]
    first, second = (build_tokenizer(texts).backend_tokenizer.to_str() for _ in range(2))
    assert first == second


@pytest.mark.parametrize("stage", organism.STAGES)
def test_all_stages_share_the_tokenizer(stage):
    ours = (organism.path(stage) / "tokenizer.json").read_bytes()
    assert ours == (organism.path("base") / "tokenizer.json").read_bytes()

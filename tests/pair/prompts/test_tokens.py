from __future__ import annotations

import os
import threading

import pytest
from tokenizers import Regex, normalizers, pre_tokenizers

from slr_probe.errors import PromptError
from slr_probe.pair.prompts import tokens
from slr_probe.pair.prompts.tokens import compare_tokenizers, encode, prefix
from tests.tiny_tokenizer import SPECIAL, make_tokenizer

BOS = SPECIAL.index("<bos>")


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


def test_equal_vocabularies_that_encode_otherwise_are_a_note() -> None:
    other = make_tokenizer()
    other.backend_tokenizer.normalizer = normalizers.Lowercase()
    assert other.get_vocab() == make_tokenizer().get_vocab()
    notes = compare_tokenizers(make_tokenizer(), other)
    assert len(notes) == 1
    assert "encode" in notes[0]


def test_a_lost_bos_is_a_note() -> None:
    notes = compare_tokenizers(make_tokenizer(), make_tokenizer(bos=False))
    assert len(notes) == 1
    assert "<bos>" in notes[0]


def test_prefix_is_what_the_tokenizer_puts_in_front() -> None:
    assert prefix(make_tokenizer()) == (BOS,)
    assert prefix(make_tokenizer(bos=False)) == ()


def test_what_cannot_be_encoded_is_one_error() -> None:
    with pytest.raises(PromptError, match="cannot encode"):
        encode(make_tokenizer(), "\ud800")


def test_a_pattern_that_never_ends_is_an_error_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = make_tokenizer()
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("(a|aa)+b"), "isolated")
    assert encode(tokenizer, "aab") == encode(tokenizer, "aab")
    monkeypatch.setattr(tokens, "SECONDS", 0.02)
    with pytest.raises(PromptError, match=r"cannot encode 'aaa.*more than 0\.02 s"):
        encode(tokenizer, "a" * 30)


def test_one_thread_encodes_many_texts_and_a_fork_has_one_of_its_own() -> None:
    tokenizer = make_tokenizer()
    expected = encode(tokenizer, "a cat")
    before = threading.active_count()
    assert [encode(tokenizer, "a cat") for _ in range(20)] == [expected] * 20
    assert threading.active_count() == before
    child = os.fork()
    if not child:
        os._exit(0 if encode(tokenizer, "a cat") == expected else 1)
    assert os.waitpid(child, 0)[1] == 0

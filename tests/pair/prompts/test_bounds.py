from __future__ import annotations

import json
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from slr_probe import organism
from slr_probe.errors import PromptError
from slr_probe.pair.prompts.bounds import check_tokenizer
from tests.tiny_tokenizer import make_tokenizer


def tokenizer_with(**parts: Any) -> Any:
    """A tokenizer whose file has these parts."""
    data = json.loads(make_tokenizer().backend_tokenizer.to_str())
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps({**data, **parts})))


def replacing(content: str, **pattern: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern or {"String": " "}, "content": content}


def framed(tokens: int) -> dict[str, Any]:
    """A post-processor that puts a token in front of a text so many times."""
    bos, text = {"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    told = {"<bos>": {"id": "<bos>", "ids": [1], "tokens": ["<bos>"]}}
    pair = [text, {"Sequence": {"id": "B", "type_id": 0}}]
    return {"type": "TemplateProcessing", "single": [bos] * tokens + [text], "pair": pair, "special_tokens": told}


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"decoder": replacing("x", Regex="(a|aa)+b")}, "decoder holds a regular expression"),
        ({"decoder": {"type": "Sequence", "decoders": [replacing("x", Regex="a")]}}, "decoder holds a regular"),
        ({"decoder": replacing("x" * 2000)}, "decoder could make a text more than 1,024 times"),
        ({"normalizer": replacing("x" * 2000)}, "normalizer could make"),
        ({"normalizer": {"type": "Sequence", "normalizers": [replacing("x" * 40)] * 2}}, "normalizer could make"),
        ({"normalizer": {"type": "Prepend", "prepend": "x" * 2000}}, "normalizer could make"),
        ({"post_processor": framed(1000)}, "post_processor has more than"),
    ],
)
def test_what_makes_texts_long_or_never_ends_is_refused(parts: dict[str, Any], told: str) -> None:
    with pytest.raises(PromptError, match=told):
        check_tokenizer(tokenizer_with(**parts))


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "_"}, replacing("_")]}},
        {"decoder": replacing(" ", String="_"), "post_processor": framed(3)},
        {"normalizer": replacing(" ", Regex=" {2,}")},
        {"normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None},
    ],
)
def test_what_tokenizers_do_is_taken(parts: dict[str, Any]) -> None:
    check_tokenizer(tokenizer_with(**parts))


def test_tokenizers_of_other_kinds_are_taken() -> None:
    check_tokenizer(None)
    check_tokenizer(PreTrainedTokenizerFast.from_pretrained(organism.path("dpo")))

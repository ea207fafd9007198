"""Which tokens end an output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

from slr_probe.pair.prompts import apply_template
from slr_probe.pair.side import Side

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair

_MARK = "reply"


def end_tokens(pair: ModelPair) -> tuple[int, ...]:
    """Tokens that end an output of any model of the pair.

    The end tokens in the generation settings (or config) of tuned and of base, the tokenizer's, and the one that the
    chat template puts after an assistant's turn. All models share them, so none gets to write longer than another.
    """
    tokenizer = pair.tokenizer
    found = {*_declared(pair.tuned_side), *_declared(pair.base_side), *_as_ids(tokenizer.eos_token_id)}
    turn = _end_of_turn(tokenizer)
    return tuple(sorted(found if turn is None else found | {turn}))


def _declared(side: Side) -> set[int]:
    from transformers import GenerationConfig

    settings: Any = None
    if side.model is not None:
        settings = getattr(side.model, "generation_config", None)
    elif side.path is not None:
        try:
            settings = GenerationConfig.from_pretrained(side.path, local_files_only=True)
        except (OSError, ValueError):  # there is none, or it is damaged: the config has the token as well
            settings = None
    text = side.config.get_text_config(decoder=True)
    return _as_ids(getattr(settings, "eos_token_id", None)) or _as_ids(getattr(text, "eos_token_id", None))


def _as_ids(value: Any) -> set[int]:
    if value is None:
        return set()
    return {int(value)} if isinstance(value, int) else {int(token) for token in value}


def _end_of_turn(tokenizer: Any) -> int | None:
    """The special token right after an assistant's message, if the chat template puts one there."""
    if not getattr(tokenizer, "chat_template", None):
        return None
    turns = [{"role": "user", "content": "question"}, {"role": "assistant", "content": _MARK}]
    try:
        text = apply_template(tokenizer, turns, open_turn=False)
    except (TemplateError, ValueError, TypeError):
        return None
    after = tokenizer(text.rpartition(_MARK)[2].lstrip(), add_special_tokens=False)["input_ids"]
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special} | {*tokenizer.all_special_ids}
    return int(after[0]) if _MARK in text and after and after[0] in special else None

"""The one place where prompts become token ids, with exactly one BOS where the model uses one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from jinja2 import TemplateError

from slr_probe.errors import PromptError

Format = Literal["chat", "plain"]
Prompt = str | Sequence[Mapping[str, str]]
PLAIN_BASE = "base (plain)"
"""Name of base where it reads plain prompts, while the tuned model reads chat prompts."""
TODAY = datetime(2024, 7, 26)
"""The day it is for chat templates that ask (our choice): the one that Llama 3.1's names where it is told none."""


@dataclass(frozen=True)
class PromptRenderer:
    """Turns prompts into token ids with one tokenizer.

    `"chat"` renders through the tokenizer's chat template and opens the assistant's turn; `"plain"` takes the text as
    it is, which is how a base model expects it. A template that contains BOS and a tokenizer that adds one would
    give two (REFERENCE: that silently changes the first-token distribution), so special tokens are never added
    by the tokenizer here: the one BOS is put there, or found there, by this class.

    Attributes:
        tokenizer: A transformers tokenizer.
        default_format: Format when none is asked for: `"chat"` where there is a chat template.
        rows: Rows of the model's embedding, where known: no prompt may hold a token beyond them.
    """

    tokenizer: Any
    default_format: Format
    rows: int | None = None

    @classmethod
    def of(cls, tokenizer: Any, rows: int | None = None) -> PromptRenderer:
        """A renderer whose default format follows from whether the tokenizer has a chat template."""
        return cls(tokenizer, "chat" if getattr(tokenizer, "chat_template", None) else "plain", rows)

    @property
    def bos(self) -> int | None:
        """Token id that must stand first, once; None for models that use no BOS (Qwen, GPT-2)."""
        bos = self.tokenizer.bos_token_id
        if bos is None:
            return None
        with_special = self.tokenizer("a")["input_ids"]
        return int(bos) if with_special[:1] == [bos] else None

    def text(self, prompt: Prompt, format: Format | None = None) -> str:
        """The text that is tokenised, without a BOS that is not part of a chat template.

        Raises:
            PromptError: Unknown format, empty prompt, no chat template, or one that refuses the messages.
        """
        format = format or self.default_format
        if format not in get_args(Format):
            raise PromptError(f"unknown prompt format {format!r}; expected one of {', '.join(get_args(Format))}")
        if not prompt:
            raise PromptError("a prompt is empty; give text, or a list of {'role', 'content'} messages")
        messages = _messages(prompt)
        if format == "plain":
            if len(messages) != 1:
                raise PromptError(f"the plain format takes one text; got a conversation of {len(messages)} messages")
            return messages[0]["content"]
        if not getattr(self.tokenizer, "chat_template", None):
            raise PromptError("the tokenizer has no chat template; use format='plain', or set tokenizer.chat_template")
        try:
            return apply_template(self.tokenizer, messages, open_turn=True)
        except TemplateError as error:
            raise PromptError(f"the chat template refuses the prompt ({error}): {prompt!r}") from error

    def __call__(self, prompt: Prompt, format: Format | None = None) -> list[int]:
        """Token ids of one prompt.

        Args:
            prompt: Text, or messages `{"role": ..., "content": ...}` (text is one user message in a chat).
            format: `"chat"`, `"plain"`, or the default.

        Raises:
            PromptError: The prompt is empty, tokenises to nothing, holds a BOS of its own, or a token that the
                embedding has no row for.
        """
        ids = list(self.tokenizer(self.text(prompt, format), add_special_tokens=False)["input_ids"])
        if not ids:
            raise PromptError(f"the prompt tokenises to nothing: {prompt!r}")
        if self.rows is not None and max(ids) >= self.rows:
            token = self.tokenizer.convert_ids_to_tokens(max(ids))
            raise PromptError(
                f"the prompt holds token {token!r} (id {max(ids)}), but the embedding has only {self.rows} rows: "
                f"{prompt!r}"
            )
        bos, eos = self.bos, self.tokenizer.eos_token_id
        if bos is None:
            return ids
        ids = ids if ids[0] == bos else [bos, *ids]
        if ids[:2] == [bos, bos] or (bos != eos and ids.count(bos) != 1):
            raise PromptError(
                f"the rendered prompt holds {ids.count(bos)} BOS tokens (id {bos}) and must hold one; take "
                f"{self.tokenizer.bos_token!r} out of the prompt or out of one place in the chat template: {prompt!r}"
            )
        return ids


def apply_template(tokenizer: Any, messages: Sequence[Mapping[str, str]], *, open_turn: bool) -> str:
    """The text of messages in the tokenizer's chat template; the one place where a template is applied.

    transformers gives templates a function `strftime_now`, with which some (Llama 3.2) print today's date, so that
    results would change from day to day. Here it is always `TODAY`. A template that asks for no date, or takes
    `date_string` and has a fixed one of its own where it is not given (Llama 3.1), is left as it is.

    Args:
        tokenizer: A transformers tokenizer with a chat template.
        messages: The conversation.
        open_turn: Whether to open the assistant's turn at the end.
    """
    options = {}
    if "strftime_now" in str(tokenizer.chat_template):
        options["chat_template"] = _dated(tokenizer.get_chat_template())
    messages = [dict(message) for message in messages]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=open_turn, **options))


def _dated(template: str) -> str:
    """The template behind a macro that stands in for `strftime_now`: transformers takes no functions from callers."""
    codes = sorted(set(re.findall(r"(?<!{)%-?[A-Za-z]", template)))
    replaced = "".join(f" | replace('{code}', '{TODAY.strftime(code)}')" for code in codes)
    return f"{{% macro strftime_now(format) %}}{{{{ format{replaced} }}}}{{% endmacro +%}}{template}"


def _messages(prompt: Prompt) -> list[dict[str, str]]:
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    if not isinstance(prompt, Sequence):
        raise PromptError(f"a prompt is text, or a list of {{'role', 'content'}} messages; got {prompt!r}")
    messages = []
    for message in prompt:
        if not isinstance(message, Mapping) or not {"role", "content"} <= message.keys():
            raise PromptError(f"a message needs 'role' and 'content'; got {message!r}")
        messages.append(dict(message))
    return messages


def compare_tokenizers(base: Any, tuned: Any) -> tuple[str, ...]:
    """Notes on how two tokenizers differ.

    Raises:
        PromptError: They give one token different ids, so blocks of one cannot read the other's embeddings.
    """
    ids, tuned_ids = base.get_vocab(), tuned.get_vocab()
    if ids == tuned_ids:
        return ()
    moved = next((token for token, i in ids.items() if tuned_ids.get(token, i) != i), None)
    if moved is not None:
        raise PromptError(
            f"base and tuned tokenizers disagree: token {moved!r} is {ids[moved]} in base and {tuned_ids[moved]} in "
            "tuned"
        )
    notes = []
    for label, extra in (("tuned", tuned_ids.keys() - ids.keys()), ("base", ids.keys() - tuned_ids.keys())):
        if extra:
            shown = ", ".join(repr(token) for token in sorted(extra)[:4])
            notes.append(f"{len(extra)} tokens only in the {label} tokenizer: {shown}")
    return tuple(notes)

"""The one place where prompts become token ids, with exactly one BOS where the model uses one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from slr_probe.errors import PromptError, one_line
from slr_probe.pair.prompts.chat import Opening, opening, render_chat
from slr_probe.pair.prompts.template import Template
from slr_probe.pair.prompts.tokens import encode, prefix

Format = Literal["chat", "plain"]
Prompt = str | Sequence[Mapping[str, str]]
PLAIN_BASE = "base (plain)"
"""Name of base where it reads plain prompts, while the tuned model reads chat prompts."""


@dataclass(frozen=True)
class PromptRenderer:
    """Turns prompts into token ids with one tokenizer.

    `"chat"` renders through the tokenizer's chat template and opens the assistant's turn; `"plain"` takes the text as
    it is, which is how a base model expects it. A template that contains BOS and a tokenizer that adds one would
    give two (REFERENCE: that silently changes the first-token distribution), so special tokens are never added
    by the tokenizer here: the one BOS is put there, or found there, by this class. A template may put a BOS before
    each turn, as that of Llama 2 does.

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
        """Token id that must stand first; None for models that use no BOS (Qwen, GPT-2)."""
        return self._bos_in(prefix(self.tokenizer))

    def _bos_in(self, before: Sequence[int]) -> int | None:
        bos = self.tokenizer.bos_token_id
        return int(bos) if bos is not None and int(bos) in before else None

    @property
    def opening(self) -> Opening:
        """How the chat template opens the assistant's turn; nothing to tell without a template.

        Raises:
            PromptError: The tokenizer's chat template is none that can be used.
        """
        template = Template.of(self.tokenizer)
        return Opening() if template is None else opening(template)

    def text(self, prompt: Prompt, format: Format | None = None) -> str:
        """The text that is tokenised, without a BOS that is not part of a chat template.

        Raises:
            PromptError: Unknown format, empty prompt, no chat template, or one that refuses the messages, drops their
                words, or needs too much time or memory.
        """
        format = format or self.default_format
        if format not in get_args(Format):
            raise PromptError(f"unknown prompt format {format!r}; expected one of {', '.join(get_args(Format))}")
        messages = _messages(prompt)
        if format == "chat":
            return self.conversation(messages, open_turn=True)
        if len(messages) != 1:
            raise PromptError(f"the plain format takes one text; got a conversation of {len(messages)} messages")
        return messages[0]["content"]

    def conversation(self, messages: Sequence[Mapping[str, str]], *, open_turn: bool) -> str:
        """The text of a conversation in the chat template, with the assistant's turn open at its end or not.

        Raises:
            PromptError: As for `text`.
        """
        template = Template.of(self.tokenizer)
        if template is None:
            raise PromptError("the tokenizer has no chat template; use format='plain', or set tokenizer.chat_template")
        try:
            return render_chat(template, messages, open_turn=open_turn)
        except PromptError as error:
            raise PromptError(f"{error}: {one_line([dict(one) for one in messages], 200)}") from error

    def __call__(self, prompt: Prompt, format: Format | None = None) -> list[int]:
        """Token ids of one prompt.

        Args:
            prompt: Text, or messages `{"role": ..., "content": ...}` (text is one user message in a chat).
            format: `"chat"`, `"plain"`, or the default.

        Raises:
            PromptError: The prompt is empty, tokenises to nothing, holds a BOS of its own, or a token that the
                embedding has no row for.
        """
        ids = encode(self.tokenizer, self.text(prompt, format))
        if not ids:
            raise PromptError(f"the prompt tokenises to nothing: {prompt!r}")
        chat = (format or self.default_format) == "chat"
        return self.complete(ids, _messages(prompt) if chat else (), shown=prompt)

    def complete(self, ids: list[int], turns: Sequence[Mapping[str, str]] = (), *, shown: object = "") -> list[int]:
        """Token ids with what stands in front of every text, checked.

        Args:
            ids: Token ids of a rendered prompt.
            turns: The messages, where a chat template rendered them: it may put one BOS before each.
            shown: What the prompt is called in messages.

        Raises:
            PromptError: There are more BOS than there may be, or a token that the embedding has no row for.
        """
        if self.rows is not None and max(ids, default=0) >= self.rows:
            token = self.tokenizer.convert_ids_to_tokens(max(ids))
            raise PromptError(
                f"the prompt holds token {token!r} (id {max(ids)}), but the embedding has only {self.rows} rows: "
                f"{one_line(repr(shown), 200)}"
            )
        before = list(prefix(self.tokenizer))
        if ids[: len(before)] != before:
            ids = [*before, *ids]
        bos, eos = self._bos_in(before), self.tokenizer.eos_token_id
        if bos is None:
            return ids
        place, word = ids.index(bos), str(self.tokenizer.bos_token)
        theirs = any(word in str(turn["content"]) for turn in turns)
        allowed = len(ids) if bos == eos else 1 if theirs else max(1, len(turns))
        if ids[place + 1 : place + 2] == [bos] or ids.count(bos) > allowed:
            raise PromptError(
                f"the rendered prompt holds {ids.count(bos)} BOS tokens (id {bos}) and must hold one; take "
                f"{word!r} out of the prompt or out of one place in the chat template: {one_line(repr(shown), 200)}"
            )
        return ids


def _messages(prompt: Prompt) -> list[dict[str, str]]:
    """The messages of a prompt.

    Raises:
        PromptError: It is empty, or neither text nor a list of messages that are text.
    """
    if not prompt:
        raise PromptError("a prompt is empty; give text, or a list of {'role', 'content'} messages")
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    if not isinstance(prompt, Sequence):
        raise PromptError(f"a prompt is text, or a list of {{'role', 'content'}} messages; got {prompt!r}")
    messages = []
    for message in prompt:
        if not isinstance(message, Mapping) or not {"role", "content"} <= message.keys():
            raise PromptError(f"a message needs 'role' and 'content'; got {message!r}")
        if not all(isinstance(message[key], str) for key in ("role", "content")):
            raise PromptError(f"'role' and 'content' of a message must be text; got {one_line(message, 200)}")
        messages.append(dict(message))
    return messages

"""The one place where answers become token ids, and where in a prompt the answer token comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slr_probe.errors import PromptError
from slr_probe.pair.prompts import Format, Prompt, PromptRenderer
from slr_probe.pair.prompts.tokens import encode

PLAIN_FRAME = "Question: {prompt}\nAnswer:"
"""How a base model, which knows no chat template, is asked."""
_SPACE_MARKERS = ("", " ", "▁", "Ġ")  # none, literal, SentencePiece, byte-level BPE


MARKS = (".", "!", "\n")
"""What may stand between an answer and the end of the turn (ours)."""


@dataclass(frozen=True)
class Ending:
    """How a reply may end after an answer.

    Attributes:
        ends: Tokens that end the turn.
        marks: Token paths of closing marks, after which the turn may end as well.
    """

    ends: tuple[int, ...]
    marks: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def of(cls, tokenizer: Any, ends: Sequence[int], marks: Sequence[str] = MARKS) -> Ending:
        """Closing marks as a tokenizer writes them by themselves."""
        paths = (tuple(encode(tokenizer, mark)) for mark in marks)
        known = dict.fromkeys(path for path in paths if path and {*ends, tokenizer.unk_token_id}.isdisjoint(path))
        return cls(tuple(dict.fromkeys(ends)), tuple(known))


@dataclass(frozen=True)
class Query:
    """A rendered prompt whose reply is the answer.

    Attributes:
        token_ids: Token ids of the prompt, with exactly one BOS where the model uses one.
        answers: For each valid answer, the ids of all single tokens that spell it (`"a"`, `" a"`, ...). No id
            is listed under two answers.
        longer: For each valid answer, its spellings of several tokens; empty where no answer has any.
        ending: How a reply ends that is nothing but the answer; None where that is not asked.
    """

    token_ids: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...]
    longer: tuple[tuple[tuple[int, ...], ...], ...] = ()
    ending: Ending | None = None


def spellings(answer: str, ignore_case: bool) -> tuple[str, ...]:
    """Every text that counts as this answer, without leading space; synonyms are joined by `|`.

    Examples:
        >>> spellings("red", ignore_case=True)
        ('red', 'RED', 'Red')
        >>> spellings("heads|head", ignore_case=False)
        ('heads', 'head')
    """
    texts: dict[str, None] = {}
    for text in answer.split("|"):
        for form in (text, text.lower(), text.upper(), text.capitalize()) if ignore_case else (text,):
            texts[form] = None
    return tuple(texts)


def answer_tokens(tokenizer: Any, answer: str, ignore_case: bool) -> tuple[int, ...]:
    """Ids of all single tokens that spell the answer, with and without a leading space, in increasing order.

    A token is found by encoding the text and by name in the vocabulary: a tokenizer that puts a space in front of
    every text never encodes the bare one, though a model may well answer with it. Empty where the first spelling is
    no single token (the others alone would understate the answer).
    """
    first = answer.split("|")[0]
    if not _single_tokens(tokenizer, spellings(first, ignore_case)):
        return ()
    return tuple(sorted(_single_tokens(tokenizer, spellings(answer, ignore_case))))


def single_tokens(tokenizer: Any, answer: str, ignore_case: bool) -> tuple[int, ...]:
    """The same for an answer whose first spelling may be of several tokens; see `answer_paths` for these."""
    return tuple(sorted(_single_tokens(tokenizer, spellings(answer, ignore_case))))


@dataclass(frozen=True)
class AnswerPrompt:
    """The prompt, cut just before the answer.

    Attributes:
        token_ids: Its tokens.
        split: Answers that are not one token there, as the tokenizer writes them after this prompt.
        text: What it is the encoding of.
    """

    token_ids: tuple[int, ...]
    split: tuple[str, ...]
    text: str


def answer_paths(tokenizer: Any, prompt: AnswerPrompt, answer: str, ignore_case: bool) -> tuple[tuple[int, ...], ...]:
    """All spellings of an answer that the tokenizer writes as several tokens, with and without a leading space.

    Each is encoded by itself and after the prompt, which is not always the same.
    """
    prefix = encode(tokenizer, prompt.text)
    special = {*tokenizer.all_special_ids, tokenizer.unk_token_id}
    paths: dict[tuple[int, ...], None] = {}
    for text in spellings(answer, ignore_case):
        for form in (text, " " + text):
            alone, whole = encode(tokenizer, form), encode(tokenizer, prompt.text + form)
            after = whole[len(prefix) :] if whole[: len(prefix)] == prefix else []
            for ids in (alone, after):
                if len(ids) > 1 and special.isdisjoint(ids) and _spell(tokenizer, ids, text):
                    paths[tuple(ids)] = None
    return tuple(sorted(paths))


def answer_prompt(
    renderer: PromptRenderer, prompt: str, answers: Sequence[str], ignore_case: bool, format: Format
) -> AnswerPrompt:
    """The prompt, cut just before the answer token, and the answers that are not one token there.

    In the plain format the text ends with "Answer:". Where the tokenizer splits " 7" into a space and "7" (digits in
    Gemma, Llama 3 and Qwen), the model must write the space first, and only the next token is the answer; the space
    then belongs to the prompt. The same holds for chat templates that put a space in front of the reply. Decided by
    encoding prompt and answers together: the ending after which more of the answers are one token is taken.
    """
    asked: Prompt = PLAIN_FRAME.format(prompt=prompt) if format == "plain" else prompt
    return answer_place(renderer, asked, answers, ignore_case, format)


def answer_place(
    renderer: PromptRenderer, prompt: Prompt, answers: Sequence[str], ignore_case: bool, format: Format
) -> AnswerPrompt:
    """A prompt as it is, and with the space that the tokenizer splits from an answer: whichever fits more answers."""
    text = renderer.text(prompt, format)
    turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
    if format == "plain":
        turns, lead = [], "" if text.endswith((" ", "\n")) else " "
    else:
        lead = _reply_lead(renderer, turns)

    def encoded(text: str) -> list[int]:
        return renderer.complete(encode(renderer.tokenizer, text), turns, shown=prompt)

    bare = _cut(encoded, text, lead, answers, ignore_case)
    if not lead:
        return bare
    spaced = _cut(encoded, text + lead, "", answers, ignore_case)
    longer = len(spaced.token_ids) > len(bare.token_ids)
    return spaced if longer and len(spaced.split) < len(bare.split) else bare


def _single_tokens(tokenizer: Any, texts: Sequence[str]) -> set[int]:
    """Ids of the tokens, special ones aside, that spell one of the texts."""
    tokens: set[int] = set()
    for text in texts:
        for lead in ("", " "):
            ids = encode(tokenizer, lead + text)
            if len(ids) == 1 and _spell(tokenizer, ids, text):
                tokens.add(ids[0])
        for marker in _SPACE_MARKERS:
            token = tokenizer.convert_tokens_to_ids(marker + text)
            known = token is not None and tokenizer.convert_ids_to_tokens(token) == marker + text
            if known and _spell(tokenizer, [token], text):
                tokens.add(int(token))
    return tokens - set(tokenizer.all_special_ids)


def _spell(tokenizer: Any, tokens: Sequence[int], text: str) -> bool:
    return bool(tokenizer.decode(list(tokens), clean_up_tokenization_spaces=False).strip(" ") == text)


def _reply_lead(renderer: PromptRenderer, turns: Sequence[Mapping[str, str]]) -> str:
    """What the chat template puts between the opened assistant's turn and the reply: nothing, or one space."""
    opened = renderer.text(turns, "chat")
    try:
        replied = renderer.conversation([*turns, {"role": "assistant", "content": "Q"}], open_turn=False)
    except PromptError:  # it may take no reply in a conversation
        return ""
    return " " if replied.startswith(opened + " Q") else ""


def _cut(
    encoded: Callable[[str], list[int]], text: str, lead: str, answers: Sequence[str], ignore_case: bool
) -> AnswerPrompt:
    """The text as a prompt, and the answers that are not one token after it, `lead` before them.

    An answer may be written as it is listed and, where case does not matter, capitalised; nobody is asked to shout it.
    """
    prefix = encoded(text)
    split = []
    for answer in answers:
        first = answer.split("|")[0]
        forms = dict.fromkeys((first, first.capitalize()) if ignore_case else (first,))
        replies = [encoded(text + lead + form) for form in forms]
        if not any(len(ids) == len(prefix) + 1 and ids[:-1] == prefix for ids in replies):
            split.append(answer)
    return AnswerPrompt(tuple(prefix), tuple(split), text)

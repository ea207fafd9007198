"""Conversations for `learn_layer_mask`: read or sampled, checked, and rendered with the assistant's tokens marked."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slr_probe.errors import MaskError, PromptError
from slr_probe.files import read_jsonl
from slr_probe.generation.sampling import Sampling
from slr_probe.pair.prompts import Format, PromptRenderer
from slr_probe.pair.prompts.tokens import encode

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair

Message = Mapping[str, str]
Conversation = Sequence[Message]


@dataclass(frozen=True)
class Example:
    """One rendered conversation.

    Attributes:
        ids: Token ids, with exactly one BOS where the model uses one.
        replies: Whether each token is one that the assistant wrote; those are predicted.
    """

    ids: tuple[int, ...]
    replies: tuple[bool, ...]


def read_conversations(path: str | os.PathLike[str]) -> list[Conversation]:
    """Read JSON lines `{"messages": [{"role": ..., "content": ...}, ...]}`; empty lines are skipped.

    Raises:
        MaskError: The file cannot be read, or a line is not such a conversation; the line is named.
    """
    rows = read_jsonl(Path(path), MaskError)
    conversations = [check_conversation(row, f"{path}, line {number}") for number, row in rows]
    if not conversations:
        raise MaskError(f"{path} holds no conversation; expected one JSON object with 'messages' a line")
    return conversations


def check_conversation(data: Any, where: str) -> Conversation:
    """The messages of one conversation, given as a list of messages or as an object that holds one.

    Raises:
        MaskError: It is neither, a message lacks role or content, or the assistant says nothing.
    """
    messages = data.get("messages") if isinstance(data, Mapping) else data
    if isinstance(messages, str) or not isinstance(messages, Sequence) or not messages:
        raise MaskError(
            f"{where}: expected {{'messages': [{{'role': ..., 'content': ...}}, ...]}} with at least one message; "
            f"got {str(data)[:80]!r}"
        )
    for message in messages:
        if not isinstance(message, Mapping) or not all(isinstance(message.get(k), str) for k in ("role", "content")):
            raise MaskError(f"{where}: a message needs 'role' and 'content' as text; got {str(message)[:80]!r}")
    if not any(message["role"] == "assistant" and message["content"] for message in messages):
        raise MaskError(f"{where}: the assistant says nothing in this conversation; there is nothing to predict")
    return [dict(message) for message in messages]


def hold_back(conversations: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Three of four conversations to learn a mask on, and every fourth to score it on.

    Raises:
        MaskError: Fewer than four.

    Examples:
        >>> hold_back(range(6))
        ([0, 1, 2, 4, 5], [3])
    """
    if len(conversations) < 4:
        raise MaskError(f"to hold back a quarter, at least 4 conversations are needed; got {len(conversations)}")
    learn = [one for i, one in enumerate(conversations) if i % 4 != 3]
    return learn, list(conversations[3::4])


def load_examples(
    pair: ModelPair,
    data: str | os.PathLike[str] | Iterable[Any],
    format: Format | None = None,
    max_length: int | None = None,
) -> list[Example]:
    """Render conversations, or take rendered ones as they are.

    Args:
        pair: Whose tokenizer and chat template are used.
        data: A JSONL file, conversations (lists of messages, or objects with `messages`), or `Example` objects.
        format: `"chat"`, `"plain"`, or the pair's default.
        max_length: Most tokens of a conversation; default: the positions that the model has.

    Raises:
        MaskError: No conversation, one that is malformed or too long.
        PromptError: One that the chat template refuses, or that does not get exactly one BOS.
    """
    positions = getattr(pair.config.get_text_config(decoder=True), "max_position_embeddings", None)
    limit = max_length or positions
    if isinstance(data, (str, os.PathLike)):
        data = read_conversations(data)
    examples = []
    for number, item in enumerate(data, 1):
        where = f"conversation {number}"
        example = item if isinstance(item, Example) else render(pair.prompts, check_conversation(item, where), format)
        if limit is not None and len(example.ids) > limit:
            raise MaskError(
                f"{where} has {len(example.ids)} tokens, but at most {limit} are allowed "
                f"({'max_length' if max_length else 'the positions that the model has'}); shorten or drop it"
            )
        if not any(example.replies[1:]):
            raise MaskError(f"{where} has no token of the assistant to predict")
        examples.append(example)
    if not examples:
        raise MaskError("no conversations were given; leave data out to sample some from the tuned model")
    return examples


def render(prompts: PromptRenderer, conversation: Conversation, format: Format | None = None) -> Example:
    """Token ids of a conversation, and which of them the assistant wrote.

    In `"chat"`, each turn of the assistant is what the template adds after the generation prompt, with its end
    marker; where a template renders earlier turns in another way once later ones follow, only the last turn counts.
    Context and reply are tokenised apart, as they are when the model generates. In `"plain"` (our convention) the
    messages stand below each other, the reply ends with EOS.

    Raises:
        PromptError: The template refuses the messages, or the result does not hold exactly one BOS.
    """
    format = format or prompts.default_format
    parts = _chat(prompts, conversation) if format == "chat" else _plain(prompts, conversation)
    ids: list[int] = []
    replies: list[bool] = []
    for text, reply in parts:
        tokens = encode(prompts.tokenizer, text) if text else []
        ids += tokens
        replies += [reply] * len(tokens)
    whole = prompts.complete(ids, conversation if format == "chat" else (), shown=conversation)
    added = len(whole) - len(ids)
    return Example(tuple(whole), (False,) * added + tuple(replies))


def _chat(prompts: PromptRenderer, conversation: Conversation) -> list[tuple[str, bool]]:
    """The rendered text, cut where the assistant begins and ends to write."""
    whole = prompts.conversation(conversation, open_turn=False)
    turns = [i for i, message in enumerate(conversation) if message["role"] == "assistant"]
    for chosen in (turns, turns[-1:]):
        parts, done = [], 0
        for turn in chosen:
            before = prompts.conversation(conversation[:turn], open_turn=True)
            after = prompts.conversation(conversation[: turn + 1], open_turn=False)
            if not (whole.startswith(after) and after.startswith(before) and len(before) >= done):
                break
            end = len(after.rstrip())  # what stands after the end marker belongs to the next turn
            parts += [(whole[done : len(before)], False), (whole[len(before) : end], True)]
            done = end
        else:
            return parts
    raise PromptError(
        "the chat template does not continue its own generation prompt, so the assistant's tokens cannot be told: "
        f"{str(conversation)[:80]}"
    )


def _plain(prompts: PromptRenderer, conversation: Conversation) -> list[tuple[str, bool]]:
    parts: list[tuple[str, bool]] = []
    for message in conversation:
        reply = message["role"] == "assistant"
        if parts and not parts[-1][0].endswith((" ", "\n")):
            parts.append(("\n", False))
        parts.append((message["content"] + ((prompts.tokenizer.eos_token or "") if reply else ""), reply))
    return parts


def sample_conversations(
    pair: ModelPair,
    prompts: Iterable[str] | None = None,
    *,
    samples: int = 2,
    max_tokens: int = 64,
    temperature: float = 1.0,
    batch_tokens: int | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> list[list[dict[str, str]]]:
    """Let the tuned model answer prompts: what it says is what its post-training taught it.

    Nothing is cut off from its distribution, and nothing is taken from the checkpoint's own sampling settings.

    Args:
        pair: The pair; its tuned model is loaded.
        prompts: User messages; default: the selection prompts of `CRCTask.default()`.
        samples: Replies a prompt.
        max_tokens: Most tokens of a reply.
        temperature: Sampling temperature, above 0.
        batch_tokens: Bound on rows x (longest prompt + `max_tokens`) of a batch; see `generate`.
        seed: The same seed gives the same replies.
        progress: Show a progress bar; None: on a terminal and in Jupyter only.

    Returns:
        Conversations of one user and one assistant message; replies that are empty are left out.

    Raises:
        MaskError: No prompts, a setting out of range, or every reply is empty.
        GenerationError: A prompt and its reply do not fit the context.
    """
    from slr_probe.generation import generate

    questions = _default_prompts() if prompts is None else list(prompts)
    sampling = _check(questions, samples, max_tokens, temperature, seed)
    numbered = [(str(i), prompt) for i, prompt in enumerate(questions)]
    written = generate(
        pair, numbered, "tuned", samples=samples, sampling=sampling, batch_tokens=batch_tokens, progress=progress
    )["tuned"]
    conversations = [
        [{"role": "user", "content": prompt}, {"role": "assistant", "content": text.strip()}]
        for prompt, texts in zip(questions, written.texts, strict=True)
        for text in texts
        if text.strip()  # templates put their own space
    ]
    if not conversations:
        raise MaskError("the tuned model answered every prompt with nothing; give conversations as data")
    return conversations


def sample_examples(
    pair: ModelPair, prompts: Sequence[Sequence[int]], *, samples: int = 4, max_tokens: int = 1, seed: int = 0
) -> list[Example]:
    """The same for prompts that are rendered already, as token ids; replies stay token ids, with the end token."""
    from slr_probe.generation.decode import Request, end_tokens, write

    sampling = _check(prompts, samples, max_tokens, 1.0, seed)
    requests = [Request(str(i), tuple(ids), tuple(range(samples))) for i, ids in enumerate(prompts)]
    replies = {
        (one.id, one.number): (*one.tokens, *one.end)
        for rows in write(pair.tuned, requests, sampling, ends=end_tokens(pair))
        for one in rows
    }
    return [
        Example((*request.ids, *row), (False,) * len(request.ids) + (True,) * len(row))
        for request in requests
        for row in (replies[request.id, sample] for sample in request.samples)
    ]


def _check(prompts: Sequence[object], samples: int, max_tokens: int, temperature: float, seed: int) -> Sampling:
    if not prompts:
        raise MaskError("no prompts to sample from; give at least one")
    if samples < 1 or max_tokens < 1 or seed < 0 or not 0 < temperature < math.inf:
        raise MaskError(
            "samples and max_tokens must be at least 1, seed at least 0 and temperature above 0; got "
            f"{samples}, {max_tokens}, {seed} and {temperature}"
        )
    return Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed)


def _default_prompts() -> list[str]:
    from slr_probe.tasks.crc import CRCTask

    return [item.prompt for item in CRCTask.default().selection.items]

"""A tokenizer's encodings: asked for in one place, and those of base and tuned compared."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from slr_probe.errors import PromptError, foreign, one_line

SECONDS = 30.0
"""What one text may take to be encoded; honest tokenizers need milliseconds. Ours."""
_SAMPLES = (
    "The quick brown fox, 12345 jumps!",
    " two  spaces\n\nand a NEW line\t.",
    "Café naïve: 你好, привет, नमस्ते 🙂",
    "def f(x):\n    return x ** 2  # it's 3.14",
)
"""Texts in which normalisers, rules for splitting, and merges show. Ours."""


def encode(tokenizer: Any, text: str, *, special: bool = False) -> list[int]:
    """Token ids of a text.

    Args:
        tokenizer: A transformers tokenizer.
        text: The text.
        special: Let the tokenizer put its special tokens around it.

    Raises:
        PromptError: The tokenizer cannot encode it, as with half a surrogate pair, or not in `SECONDS`.
    """
    with foreign(PromptError, f"the tokenizer cannot encode {one_line(repr(text), 80)}"):
        return _in_time(lambda: [int(i) for i in tokenizer(text, add_special_tokens=special)["input_ids"]])


def _in_time(call: Callable[[], list[int]]) -> list[int]:
    """Wait for a call in another thread: a pattern in a `tokenizer.json` may look for ever, and cannot be stopped.

    Python's lock is not held while the tokenizers library splits a text. A thread that is not done ends with
    the process.

    Raises:
        TimeoutError: It takes too long.
    """
    try:
        worker = _idle.pop()
    except IndexError:  # the first, or all are at work
        worker = _Worker()
    worker.asked.put(call)
    try:
        found = worker.answers.get(timeout=SECONDS)
    except Empty:
        raise TimeoutError(f"it takes more than {SECONDS:g} s; a pattern in its tokenizer.json may never end") from None
    _idle.append(worker)
    if isinstance(found, BaseException):
        raise found
    return found


class _Worker:
    """A thread that makes one call after the other: a new thread for each would take longer than most texts do.

    Attributes:
        asked: Calls.
        answers: What each gave, or what it raised.
    """

    def __init__(self) -> None:
        self.asked: SimpleQueue[Callable[[], list[int]]] = SimpleQueue()
        self.answers: SimpleQueue[list[int] | BaseException] = SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                self.answers.put(self.asked.get()())
            except BaseException as fault:  # a panic of the library is no `Exception`
                self.answers.put(fault)


_idle: list[_Worker] = []
if hasattr(os, "register_at_fork"):  # a fork has none of the threads
    os.register_at_fork(after_in_child=_idle.clear)


def prefix(tokenizer: Any) -> tuple[int, ...]:
    """Special tokens that a tokenizer puts in front of every text: BOS for most that have one, two for GLM."""
    bare, whole = encode(tokenizer, "a"), encode(tokenizer, "a", special=True)
    for place in range(len(whole) - len(bare) + 1):
        if whole[place : place + len(bare)] == bare:
            return tuple(whole[:place])
    bos = tokenizer.bos_token_id
    return (int(bos),) if bos is not None and whole[:1] == [bos] else ()


def compare_tokenizers(base: Any, tuned: Any) -> tuple[str, ...]:
    """Notes on how two tokenizers differ, in vocabulary, encodings and the tokens in front of a text.

    Raises:
        PromptError: They give one token different ids, so blocks of one cannot read the other's embeddings; or one of
            them cannot encode plain text.
    """
    ids, tuned_ids = base.get_vocab(), tuned.get_vocab()
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
    return (*notes, *_encodings(base, tuned))


def _encodings(base: Any, tuned: Any) -> list[str]:
    notes = []
    for text in _SAMPLES:
        one, other = encode(base, text), encode(tuned, text)
        if one != other:
            notes.append(
                f"the tokenizers encode {text!r} otherwise, base as {len(one)} and tuned as {len(other)} tokens; all "
                "models read tuned's"
            )
            break
    first, second = (tokenizer.convert_ids_to_tokens(list(prefix(tokenizer))) for tokenizer in (base, tuned))
    if first != second:
        notes.append(
            f"base's tokenizer puts {' '.join(first) or 'nothing'} in front of a text (BOS) and tuned's "
            f"{' '.join(second) or 'nothing'}; prompts of all models follow tuned's"
        )
    return notes

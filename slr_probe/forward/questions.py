"""`Questions`: what a probe is asked about, as token ids and answer sets, from texts, a task or queries."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Int
from torch import Tensor

from slr_probe.errors import IncompatiblePairError, PromptError, one_line
from slr_probe.files import parse_json, read_text
from slr_probe.forward.budget import by_length
from slr_probe.pair.prompts.tokens import encode
from slr_probe.tasks.answers import Query, answer_place, answer_tokens
from slr_probe.tasks.crc import CRCTask, RenderedTask

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair
    from slr_probe.pair.prompts import Format, Prompt


@dataclass(frozen=True)
class Batch:
    """Prompts of one forward, padded at the end.

    In a causal model no position sees what comes after it, so the padding needs no mask and changes no number.

    Attributes:
        rows: Which of the questions these are.
        ids: Token ids; the padding repeats the last one.
        last: The answer position of each row.
    """

    rows: list[int]
    ids: Int[Tensor, "prompt position"]
    last: Int[Tensor, " prompt"]


@dataclass(frozen=True)
class Questions:
    """Rendered prompts and the answers that count for each.

    Attributes:
        queries: One a prompt; `answers` is empty where no answers were given.
        labels: A short text for each prompt.
        categories: Category of each prompt, within which the bootstrap draws; empty where there are none.
        plain: The same prompts in the plain format, where `queries` are in the chat format and the prompts are known.
    """

    queries: tuple[Query, ...]
    labels: tuple[str, ...]
    categories: tuple[str, ...] = ()
    plain: tuple[Query, ...] | None = None

    @property
    def has_answers(self) -> bool:
        """Whether every prompt has an answer set."""
        return all(query.answers and all(query.answers) for query in self.queries)


def batches(queries: Sequence[Query], size: int, *, one_length: bool = False) -> Iterator[Batch]:
    """Batches of at most `size` prompts of similar length, so that little is padded, or of one length each."""
    lengths = [len(query.token_ids) for query in queries]
    for rows in by_length(lengths, rows=size, equal=one_length):
        last = torch.tensor([lengths[i] - 1 for i in rows])
        yield Batch(rows, torch.tensor(padded([queries[i].token_ids for i in rows])), last)


def padded(prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    """Token ids of equal length; shorter prompts repeat their last token on the right, where nothing looks at it."""
    longest = max(map(len, prompts))
    return [[*prompt, *[prompt[-1]] * (longest - len(prompt))] for prompt in prompts]


def read_questions(
    pair: ModelPair,
    prompts: CRCTask | RenderedTask | Sequence[Query] | Prompt | Sequence[Prompt],
    answers: Sequence[str] | Sequence[Sequence[str]] | None = None,
    format: Format | None = None,
) -> Questions:
    """Render prompts once for both models.

    Args:
        pair: The pair whose tokenizer renders.
        prompts: A task such as CRC, queries that are rendered already, or one or more texts or conversations.
        answers: Answers to follow, the same for all prompts (`["cat", "dog"]`) or a list for each prompt. Each must be
            a single token, as it stands or after a space; both spellings count as one answer.
        format: `"chat"`, `"plain"`, or the pair's default; not for what is rendered already.

    Raises:
        PromptError: No prompts, a prompt that is empty or longer than the context, an answer that is not a single
            token, or `answers` or `format` where they have no meaning.
        TaskError: The task does not fit the tokenizer.
        IncompatiblePairError: The two models are on different devices.
    """
    if pair.base.device != pair.tuned.device:
        raise IncompatiblePairError(
            f"base is on {pair.base.device} and tuned on {pair.tuned.device}; move both models to one device"
        )
    is_task = isinstance(prompts, (CRCTask, RenderedTask))
    many = [] if is_task else _as_list(prompts)
    rendered = not isinstance(prompts, CRCTask) and all(isinstance(prompt, Query) for prompt in many)
    if is_task or (many and rendered):
        if answers is not None or (rendered and format is not None):
            raise PromptError(
                "a task and queries bring their own answers, and what is rendered its own format; leave answers= and "
                "format= out"
            )
        questions = _of_task(pair, prompts, format) if not many else Questions(tuple(many), ())
    elif many:
        questions = _of_texts(pair, many, _answer_words(answers, len(many)), format)
    else:
        raise PromptError("no prompts were given; give at least one text, a list of texts, or a task")
    for queries in (questions.queries, questions.plain or ()):
        for number, query in enumerate(queries):
            check_query(query, pair.config, f"prompt {number}")
    if questions.labels:
        return questions
    return replace(questions, labels=tuple(_label(pair, query) for query in questions.queries))


def read_prompts(path: str | os.PathLike[str]) -> list[Prompt]:
    """Prompts of a file: a JSON list of texts or conversations (`.json`), or otherwise one text a line.

    Raises:
        PromptError: The file cannot be read or holds something else.
    """
    text = read_text(path, PromptError)
    lines = [line for line in text.splitlines() if line.strip()]
    prompts: Any = parse_json(text, str(path), PromptError) if Path(path).suffix == ".json" else lines
    if not isinstance(prompts, list) or not all(isinstance(prompt, (str, list)) for prompt in prompts):
        raise PromptError(f"{path} must hold a list of texts, or of conversations (lists of messages)")
    if not prompts:
        raise PromptError(f"the prompt file {path} has no prompts")
    return list(prompts)


def _of_task(pair: ModelPair, task: Any, format: Format | None) -> Questions:
    rendered = (task if isinstance(task, RenderedTask) else task.render(pair, format)).one_token()
    labels = tuple(item.prompt for item in rendered.items)
    plain = None
    if isinstance(task, CRCTask) and rendered.format == "chat":
        plain = replace(task, items=rendered.items).render(pair, "plain").rendered
    return Questions(rendered.rendered, labels, rendered.categories, plain)


def _of_texts(pair: ModelPair, prompts: list[Prompt], words: list[tuple[str, ...]], format: Format | None) -> Questions:
    sets = [_distinct(pair, each) for each in words]

    def render(format: Format) -> tuple[Query, ...]:
        return tuple(_query(pair, *one, format) for one in zip(prompts, sets, words, strict=True))

    chosen: Format = format or pair.prompts.default_format
    queries = render(chosen)
    single = all(isinstance(prompt, str) or len(prompt) == 1 for prompt in prompts)
    return Questions(queries, (), plain=render("plain") if chosen == "chat" and single else None)


def _query(pair: ModelPair, prompt: Prompt, answers: tuple[Any, ...], words: Sequence[str], format: Format) -> Query:
    """A prompt, with the space that the tokenizer splits from the answers, if it does."""
    ids = answer_place(pair.prompts, prompt, words, False, format).token_ids if words else pair.render(prompt, format)
    return Query(tuple(ids), answers)


def _as_list(prompts: Any) -> list[Any]:
    if isinstance(prompts, (str, Query)):
        return [prompts]
    many = list(prompts)
    return [many] if many and all(hasattr(item, "keys") for item in many) else many  # one conversation


def _answer_words(answers: Any, count: int) -> list[tuple[str, ...]]:
    if answers is None:
        return [()] * count
    if isinstance(answers, str):
        answers = [answers]
    if all(isinstance(answer, str) for answer in answers):
        answers = [answers] * count
    if len(answers) != count or not all(answers):
        raise PromptError(
            f"answers is one list of texts, or a non-empty list for each of the {count} prompts; got {len(answers)}"
        )
    if not all(isinstance(answer, str) for each in answers for answer in each):
        raise PromptError(f"an answer must be text; got {one_line(answers, 200)}")
    return [tuple(each) for each in answers]


def _distinct(pair: ModelPair, answers: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
    spelt = tuple(_spellings(pair, answer) for answer in answers)
    seen: dict[int, str] = {}
    for answer, ids in zip(answers, spelt, strict=True):
        for i in ids:
            if i in seen:
                raise PromptError(f"the answers {seen[i]!r} and {answer!r} share the token {i}; give each answer once")
            seen[i] = answer
    return spelt


def _spellings(pair: ModelPair, answer: str) -> tuple[int, ...]:
    ids = answer_tokens(pair.tokenizer, answer, ignore_case=False)
    if not ids:
        texts = dict.fromkeys((answer, " " + answer.lstrip()))
        split = {text: encode(pair.tokenizer, text) for text in texts}
        told = "; ".join(f"{text!r} becomes {_tokens(pair, ids)}" for text, ids in split.items())
        raise PromptError(f"the answer {answer!r} is not a single token: {told}; give answers of one token")
    return ids


def _tokens(pair: ModelPair, ids: list[int]) -> str:
    return f"{len(ids)} tokens {pair.tokenizer.convert_ids_to_tokens(ids)}"


def check_query(query: Query, config: Any, name: str) -> None:
    """Check that a model can be run on a query.

    Args:
        query: The query.
        config: The model's config.
        name: What the query is called in messages.

    Raises:
        PromptError: It has no tokens, is longer than the context, or uses ids outside the vocabulary.
    """
    text = config.get_text_config(decoder=True)
    context, rows = getattr(text, "max_position_embeddings", None), int(text.vocab_size)
    if not query.token_ids:
        raise PromptError(f"{name} has no token ids; it tokenises to nothing")
    if isinstance(context, int) and len(query.token_ids) > context:
        raise PromptError(f"{name} has {len(query.token_ids)} tokens but the model's context is {context}; shorten it")
    answer_ids = [token for answer in query.answers for token in answer]
    outside = [token for token in (*query.token_ids, *answer_ids) if not 0 <= token < rows]
    if outside:
        raise PromptError(f"{name} uses token id {outside[0]}, but the model has {rows} embedding rows")


def _label(pair: ModelPair, query: Query) -> str:
    text = " ".join(str(pair.tokenizer.decode(list(query.token_ids), skip_special_tokens=True)).split())
    return text if len(text) <= 80 else text[:77] + "..."

"""How a tokenizer puts the prompts of a task, and which of them it cannot."""

from __future__ import annotations

from dataclasses import dataclass

from slr_probe.errors import PromptError, TaskError
from slr_probe.pair.prompts import Format
from slr_probe.tasks.crc import Asked, CRCTask
from slr_probe.tasks.text import TextTask


@dataclass(frozen=True)
class PromptFit:
    """One prompt of a task with one tokenizer.

    Attributes:
        prompt: As it stands in the task.
        rendered: As the model reads it; empty where it cannot be put.
        tokens: Its number of tokens.
        refused: Why the whole task would be refused for it; empty where it is not.
        next_token: Whether what reads the next token only can ask it (`lens`, `patch`, the callback); always for texts.
    """

    prompt: str
    rendered: str
    tokens: int
    refused: str = ""
    next_token: bool = True


def fit_of(task: CRCTask | TextTask, asked: Asked, format: Format | None = None) -> tuple[PromptFit, ...]:
    """Every prompt of a task with a tokenizer; nothing is raised for those that it cannot put.

    Args:
        task: Either kind of task.
        asked: A pair, or whatever has a tokenizer and its prompts.
        format: `"chat"` or `"plain"`; default: chat where there is a chat template.
    """
    if isinstance(task, CRCTask):
        return tuple(_question(CRCTask((item,)), asked, format) for item in task.items)
    return tuple(_text(item.prompt, asked, format) for item in task.items)


def _question(task: CRCTask, asked: Asked, format: Format | None) -> PromptFit:
    prompt = task.items[0].prompt
    try:
        query = task.render(asked, format).rendered[0]
    except (TaskError, PromptError) as error:
        return PromptFit(prompt, "", 0, str(error), False)
    rendered = asked.tokenizer.decode(list(query.token_ids))
    return PromptFit(prompt, rendered, len(query.token_ids), next_token=all(query.answers))


def _text(prompt: str, asked: Asked, format: Format | None) -> PromptFit:
    try:
        tokens = list(asked.prompts(prompt, format))
    except PromptError as error:
        return PromptFit(prompt, "", 0, str(error), False)
    return PromptFit(prompt, asked.tokenizer.decode(tokens), len(tokens))

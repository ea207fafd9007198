"""Tasks: prompts, and what counts as a valid answer to each."""

from slr_probe.tasks.answers import Query
from slr_probe.tasks.builtin import choice_task, qa_task, reasoning_task, writing_task
from slr_probe.tasks.crc import CRCTask
from slr_probe.tasks.item import CRCItem
from slr_probe.tasks.jsonl import read_task
from slr_probe.tasks.known import known_task
from slr_probe.tasks.replies import Replies, Reply
from slr_probe.tasks.text import Item, TextTask
from slr_probe.tasks.thinking import strip_thinking

__all__ = [
    "CRCItem",
    "CRCTask",
    "Item",
    "Query",
    "Replies",
    "Reply",
    "TextTask",
    "choice_task",
    "known_task",
    "qa_task",
    "read_task",
    "reasoning_task",
    "strip_thinking",
    "writing_task",
]

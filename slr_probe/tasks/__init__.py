"""Tasks: prompts, and what counts as a valid answer to each."""

from slr_probe.tasks.crc import CRCItem, CRCTask
from slr_probe.tasks.query import Query

__all__ = ["CRCItem", "CRCTask", "Query"]

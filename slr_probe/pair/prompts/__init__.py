"""Prompts as token ids: chat templates applied within bounds, words kept, the assistant's turn open, one BOS."""

from slr_probe.pair.prompts.render import PLAIN_BASE, Format, Prompt, PromptRenderer

__all__ = ["PLAIN_BASE", "Format", "Prompt", "PromptRenderer"]

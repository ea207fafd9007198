"""A module `vllm` that records what it is asked and always writes the same."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


def install_fake_vllm(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Put it in vLLM's place; what it was asked is in `engines`, `prompts` and `options`."""
    calls = SimpleNamespace(engines=[], prompts=[], options=[])

    class LLM:
        def __init__(self, **options: Any) -> None:
            calls.engines.append(options)

        def generate(self, prompts: list[Any], options: list[Any], use_tqdm: bool) -> list[SimpleNamespace]:
            calls.prompts += prompts
            calls.options += options
            one = SimpleNamespace(token_ids=[70, 71, 6], finish_reason="stop")
            return [SimpleNamespace(outputs=[one]) for _ in prompts]

    fake: Any = ModuleType("vllm")
    fake.LLM, fake.SamplingParams = LLM, lambda **options: options
    monkeypatch.setitem(sys.modules, "vllm", fake)
    return calls

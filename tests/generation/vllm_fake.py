"""A module `vllm` that records what it is asked: it always writes the same, and tells the true log-probabilities."""

from __future__ import annotations

import sys
from functools import cached_property
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from slr_probe.generation.vllm.worker import HybridWorker


class Worker(HybridWorker):
    """A worker that copies tensors into a model of transformers, whose names are those of its checkpoint."""

    def __init__(self, model: Any) -> None:
        self.model, self.state, self.taken = model, model.state_dict(), []

    def reload_weights(self, weights_iterator: Any) -> None:
        for name, tensor in weights_iterator:
            self.state[name].copy_(tensor)
            self.taken.append(name)

    def get_model(self) -> Any:
        return self.model


class FakeLLM:
    """An engine with a prefix cache: until it is reset, a prompt is answered as it was the first time."""

    calls: SimpleNamespace

    def __init__(self, **options: Any) -> None:
        self.options, self.cache, self.open = options, {}, True
        config = SimpleNamespace(is_hybrid=self.calls.recurrent, is_attention_free=False, has_inner_state=False)
        core = SimpleNamespace(shutdown=lambda: setattr(self, "open", False))
        self.llm_engine = SimpleNamespace(model_config=config, engine_core=core)
        self.calls.engines.append(options)
        self.calls.llms.append(self)

    @cached_property
    def worker(self) -> Worker:
        return Worker(AutoModelForCausalLM.from_pretrained(self.options["model"], dtype=torch.float32).eval())

    def collective_rpc(self, method: str, args: tuple[Any, ...]) -> list[Any]:
        self.calls.rpc.append(args)
        return [getattr(self.worker, method)(*args)]

    def reset_prefix_cache(self) -> bool:
        self.calls.resets += 1
        if not self.calls.forgetful:
            self.cache.clear()
        return True

    def generate(self, prompts: list[Any], options: list[Any], use_tqdm: bool) -> list[SimpleNamespace]:
        if options and "logprob_token_ids" in options[0]:
            return [self._told(tuple(prompt["prompt_token_ids"])) for prompt in prompts]
        self.calls.prompts += prompts
        self.calls.options += options
        one = SimpleNamespace(token_ids=[70, 71, 6], finish_reason="stop")
        return [SimpleNamespace(outputs=[one]) for _ in prompts]

    @torch.no_grad()
    def _told(self, ids: tuple[int, ...]) -> SimpleNamespace:
        if ids not in self.cache:
            logits = self.worker.model(input_ids=torch.tensor([ids])).logits[0, -1]
            self.cache[ids] = [SimpleNamespace(logprob=float(one)) for one in logits.double().log_softmax(-1)]
        return SimpleNamespace(outputs=[SimpleNamespace(logprobs=[self.cache[ids]])])


def install_fake_vllm(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Put it in vLLM's place.

    What it was asked is in `engines`, `prompts`, `options` and `rpc`. Where `forgetful` is set, it forgets to reset its
    cache; where `recurrent` is set, it says that its model keeps states.
    """
    lists: dict[str, Any] = {name: [] for name in ("engines", "llms", "prompts", "options", "rpc")}
    calls = SimpleNamespace(**lists, resets=0, forgetful=False, recurrent=False)
    fake: Any = ModuleType("vllm")
    fake.LLM = type("LLM", (FakeLLM,), {"calls": calls})
    fake.SamplingParams = lambda **options: options
    monkeypatch.setitem(sys.modules, "vllm", fake)
    return calls

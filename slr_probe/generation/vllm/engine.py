"""One running engine of vLLM: samples of requests, log-probabilities of tokens, and other weights in the same engine.

Every sample is a request of its own with a seed made from seed, prompt id and sample, so outputs do not depend on the
batch, as far as vLLM's kernels do not. They differ from those of the `hf` backend, which draws with other random
numbers.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slr_probe.errors import GenerationError, foreign
from slr_probe.generation.decode import Request, Sample
from slr_probe.generation.draw import sample_key
from slr_probe.generation.sampling import Sampling
from slr_probe.generation.vllm.settings import check_settings

MOST_TOKENS = 128
"""Tokens whose log-probabilities vLLM tells in one request."""
_CHUNK = 4096  # requests a call: results are on disk after each
_WORKER = "slr_probe.generation.vllm.worker.HybridWorker"


def load_vllm(settings: Mapping[str, Any]) -> Any:
    """The module, for engines with these settings.

    Raises:
        GenerationError: vLLM is not installed, or has no such settings.
    """
    try:
        import vllm  # type: ignore[import-not-found]
    except ImportError as error:
        raise GenerationError(
            "backend='vllm' needs vLLM: pip install 'slr-probe[vllm]', or use backend='hf'"
        ) from error
    check_settings(settings, getattr(vllm, "EngineArgs", None))
    return vllm


@dataclass
class Engine:
    """An engine that runs the model of one folder until its weights are swapped.

    Attributes:
        folder: The checkpoint that it is started with.
        length: Tokens that a prompt and its output may have together.
        dtype: Dtype to compute in, by name.
        settings: Further settings of vLLM's.
        tokenizer: Folder of the tokenizer.
        trust_remote_code: Whether code that comes with the checkpoint may run.
    """

    folder: str
    length: int
    dtype: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: str | None = None
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        self._vllm = load_vllm(self.settings)
        options = {"max_model_len": self.length, **self.settings}
        with foreign(GenerationError, f"vLLM could not start with {self.folder}"):
            # generation_config="vllm": nothing is taken from the checkpoint's own sampling settings.
            self._llm: Any = self._vllm.LLM(
                model=self.folder,
                tokenizer=self.tokenizer or self.folder,
                dtype=self.dtype,
                seed=0,
                generation_config="vllm",
                worker_extension_cls=_WORKER,
                trust_remote_code=self.trust_remote_code,
                **options,
            )

    @property
    def recurrent(self) -> bool:
        """Whether vLLM runs blocks that keep a state, whose weights it cannot exchange."""
        config = getattr(getattr(self._llm, "llm_engine", None), "model_config", None)
        return any(bool(getattr(config, name, False)) for name in ("is_hybrid", "is_attention_free", "has_inner_state"))

    def write(
        self, requests: Sequence[Request], sampling: Sampling, ends: Sequence[int], bias: Mapping[int, float]
    ) -> Iterator[list[Sample]]:
        """Write all samples of all requests; yields them as they are finished.

        Args:
            requests: What to write.
            sampling: How.
            ends: Tokens that end an output.
            bias: What is added to the logits of these tokens.
        """
        work = [(request, number) for request in requests for number in request.samples]
        for start in range(0, len(work), _CHUNK):
            part = work[start : start + _CHUNK]
            options = [
                self._vllm.SamplingParams(**_options(sampling, request.id, number, ends), logit_bias=dict(bias) or None)
                for request, number in part
            ]
            outputs = self._run([request.ids for request, _ in part], options)
            yield [_sample(request.id, number, out, ends) for (request, number), out in zip(part, outputs, strict=True)]

    def logprobs(self, prompts: Sequence[Sequence[int]], tokens: Sequence[Sequence[int]]) -> list[dict[int, float]]:
        """Log-probabilities, in nats, of some next tokens of each prompt; `MOST_TOKENS` of them at most."""
        options = [
            self._vllm.SamplingParams(temperature=0.0, max_tokens=1, logprob_token_ids=list(some), detokenize=False)
            for some in tokens
        ]
        found = [out.outputs[0].logprobs[0] for out in self._run(prompts, options)]
        return [{token: float(one[token].logprob) for token in some} for one, some in zip(found, tokens, strict=True)]

    def take(self, base: str, tuned: str, recipe: Mapping[str, Any], names: Sequence[str]) -> None:
        """Load tensors of a hybrid over those that are there, and forget what was computed with the old ones.

        Raises:
            GenerationError: A worker could not, or took another number of tensors.
        """
        with foreign(GenerationError, f"vLLM could not take the weights of '{recipe.get('name', '')}'"):
            taken = self._llm.collective_rpc("take_hybrid", args=(base, tuned, dict(recipe), list(names)))
        if any(number != len(names) for number in taken):
            raise GenerationError(f"vLLM's workers took {taken} of {len(names)} tensors")
        self.forget()

    def forget(self) -> None:
        """Drop keys and values of earlier prompts, which other weights computed.

        Raises:
            GenerationError: vLLM keeps them.
        """
        if self._llm.reset_prefix_cache() is False:
            raise GenerationError("vLLM did not reset its prefix cache, so it would answer with the old weights")

    def close(self) -> None:
        """End the engine and give its memory back."""
        core = getattr(getattr(self._llm, "llm_engine", None), "engine_core", None)
        if core is not None:
            core.shutdown()
        del self._llm
        gc.collect()

    def _run(self, prompts: Sequence[Sequence[int]], options: list[Any]) -> list[Any]:
        with foreign(GenerationError, "vLLM could not write"):
            found: list[Any] = self._llm.generate(
                [{"prompt_token_ids": list(ids)} for ids in prompts], options, use_tqdm=False
            )
        return found


def _options(sampling: Sampling, prompt: str, number: int, ends: Sequence[int]) -> dict[str, Any]:
    return {
        "n": 1,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "max_tokens": sampling.max_tokens,
        "seed": sample_key(sampling.seed, prompt, number) % 2**63,
        "stop": list(sampling.stop) or None,
        "stop_token_ids": list(ends),
        "skip_special_tokens": True,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "repetition_penalty": 1.0,
    }


def _sample(prompt: str, number: int, out: Any, ends: Sequence[int]) -> Sample:
    best = out.outputs[0]
    tokens = [int(token) for token in best.token_ids]
    if tokens and tokens[-1] in ends:
        tokens.pop()
    return Sample(prompt, number, tuple(tokens), best.finish_reason == "stop")

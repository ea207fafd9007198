"""Cross-check by sampling: does drawing answers agree with the exact distribution?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from slr_probe.errors import TaskError
from slr_probe.stats import conditional_entropy
from slr_probe.tasks.distribution import answer_distribution

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from slr_probe.tasks.crc import RenderedTask
    from slr_probe.tasks.query import Query


@dataclass(frozen=True)
class SamplingCheck:
    """Sampled answers beside what the exact distribution says sampling should give.

    Entropy from a few samples is biased downwards, so it is not compared with the exact entropy but with the entropies
    of simulated samples of the same size from the exact distribution; validity likewise.

    Attributes:
        samples: Samples of each prompt.
        validity: Mean over prompts of the share of samples that are valid.
        validity_interval: What that should be, from the exact distribution.
        diversity: Mean over prompts of the entropy of the sampled answers, as a fraction of log |V|.
        diversity_interval: What that should be.
        exact_validity: Mean exact validity.
        exact_diversity: Mean exact diversity.
        level: Share of simulations inside each interval.
    """

    samples: int
    validity: float
    validity_interval: tuple[float, float]
    diversity: float
    diversity_interval: tuple[float, float]
    exact_validity: float
    exact_diversity: float
    level: float

    @property
    def agrees(self) -> bool:
        """Whether both sampled numbers lie in their intervals."""
        inside = [
            low <= value <= high
            for value, (low, high) in (
                (self.validity, self.validity_interval),
                (self.diversity, self.diversity_interval),
            )
        ]
        return all(inside)

    def __str__(self) -> str:
        def line(name: str, value: float, interval: tuple[float, float], exact: float) -> str:
            low, high = interval
            return f"{name} sampled {value:.4f}, expected [{low:.4f}, {high:.4f}], exact {exact:.4f}"

        return "\n".join(
            [
                f"{self.samples} samples a prompt {'agree' if self.agrees else 'DISAGREE'} with the exact distribution",
                "  " + line("validity ", self.validity, self.validity_interval, self.exact_validity),
                "  " + line("diversity", self.diversity, self.diversity_interval, self.exact_diversity),
            ]
        )


def sampling_check(
    model: PreTrainedModel,
    task: RenderedTask,
    *,
    samples: int = 256,
    temperature: float = 1.0,
    min_p: float = 0.0,
    level: float = 0.99,
    simulations: int = 2000,
    seed: int = 0,
) -> SamplingCheck:
    """Draw one token after each prompt with `generate`, many times, and compare with the exact distribution.

    Every sampling setting is given explicitly: a checkpoint's generation config would otherwise add its own.

    Args:
        model: Any transformers causal language model, such as a hybrid inside `restored`.
        task: Prompts as this model's tokenizer sees them.
        samples: Samples of each prompt.
        temperature: As given to `generate`, and applied exactly beside it.
        min_p: The same.
        level: Share of simulated results inside the intervals.
        simulations: Simulated repetitions of the whole check.
        seed: Seed of both; torch's own random state is left as it was.

    Raises:
        TaskError: Fewer than two samples, or settings out of range.
    """
    if samples < 2:
        raise TaskError(f"sampling_check needs at least 2 samples a prompt; got {samples}")
    exact = answer_distribution(model, task, temperature=temperature, min_p=min_p)
    rng = np.random.default_rng(seed)
    probabilities = np.exp(exact.logprobs)
    rest = np.maximum(1 - probabilities.sum(axis=1, keepdims=True), 0)
    outcomes = np.concatenate([probabilities, rest], axis=1)
    outcomes /= outcomes.sum(axis=1, keepdims=True)
    simulated = np.array([rng.multinomial(samples, p, size=simulations) for p in outcomes])
    valid, spread = _statistics(simulated[..., :-1], samples, exact.sizes[:, None])
    tails = ((1 - level) / 2, (1 + level) / 2)
    drawn = _draw(model, task, samples, temperature, min_p, seed)
    validity, diversity = _statistics(drawn, samples, exact.sizes)
    return SamplingCheck(
        samples,
        float(validity.mean()),
        _pair(np.quantile(valid.mean(axis=0), tails)),
        float(diversity.mean()),
        _pair(np.quantile(spread.mean(axis=0), tails)),
        float(exact.validity.mean()),
        float(np.nan_to_num(exact.diversity).mean()),
        level,
    )


def _statistics(
    counts: Int[ndarray, "*batch answer"], samples: int, sizes: Int[ndarray, "*batch"]
) -> tuple[Float[ndarray, "*batch"], Float[ndarray, "*batch"]]:
    """Share of valid samples, and entropy of the valid ones as a fraction of log |V| (0 where none is valid)."""
    with np.errstate(divide="ignore"):
        logs = np.log(counts / samples)
    return counts.sum(axis=-1) / samples, np.nan_to_num(conditional_entropy(logs)) / np.log(sizes)


def _draw(
    model: PreTrainedModel, task: RenderedTask, samples: int, temperature: float, min_p: float, seed: int
) -> Int[ndarray, "prompt answer"]:
    import torch

    widest = max(len(query.answers) for query in task.rendered)
    counts = np.zeros((len(task.rendered), widest), dtype=int)
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        torch.manual_seed(seed)
        for row, query in enumerate(task.rendered):
            ids = torch.tensor([query.token_ids], device=model.device)
            found = model.generate(  # type: ignore[operator]
                ids,
                attention_mask=torch.ones_like(ids),
                num_return_sequences=samples,
                max_new_tokens=1,
                min_new_tokens=1,
                do_sample=True,
                num_beams=1,
                temperature=temperature,
                min_p=min_p or None,
                top_k=0,
                top_p=1.0,
                typical_p=1.0,
                repetition_penalty=1.0,
                suppress_tokens=None,
                begin_suppress_tokens=None,
                eos_token_id=None,
                pad_token_id=0,
                use_cache=False,
            )
            counts[row] = _count(found[:, -1].tolist(), query, widest)
    return counts


def _count(tokens: list[int], query: Query, widest: int) -> Int[ndarray, " answer"]:
    owner = {token: place for place, ids in enumerate(query.answers) for token in ids}
    return np.bincount([owner[token] for token in tokens if token in owner], minlength=widest)


def _pair(values: Float[ndarray, " 2"]) -> tuple[float, float]:
    return float(values[0]), float(values[1])

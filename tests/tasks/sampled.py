"""Reference: does drawing answers with `generate` agree with the exact distribution?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from slr_probe.errors import TaskError
from slr_probe.stats import conditional_entropy
from tests.tasks.exact import answer_distribution


@dataclass(frozen=True)
class SamplingCheck:
    """Sampled validity and diversity beside what the exact distribution says that sampling should give.

    Entropy from a few samples is biased downwards, so it is not compared with the exact entropy but with the entropies
    of simulated samples of the same size from the exact distribution; validity likewise.

    Attributes:
        validity: Mean over prompts of the share of samples that are valid.
        validity_interval: What that should be.
        diversity: Mean over prompts of the entropy of the sampled answers, as a fraction of log |V|.
        diversity_interval: What that should be.
    """

    validity: float
    validity_interval: tuple[float, float]
    diversity: float
    diversity_interval: tuple[float, float]

    @property
    def agrees(self):
        """Whether both sampled numbers lie in their intervals."""
        valid, diverse = self.validity_interval, self.diversity_interval
        return valid[0] <= self.validity <= valid[1] and diverse[0] <= self.diversity <= diverse[1]


def sampling_check(
    model, task, *, samples=256, temperature=1.0, min_p=0.0, level=0.99, simulations=2000, seed=0, draw=None
):
    """Draw one token after each prompt of a rendered task, many times, and compare with the exact distribution.

    Args:
        model: A causal language model of transformers.
        task: Prompts as this model's tokenizer sees them.
        samples: Samples of each prompt.
        temperature: As given to `generate`, and applied exactly beside it.
        min_p: The same.
        level: Share of simulated results inside the intervals.
        simulations: Simulated repetitions of the whole check.
        seed: Seed of both; torch's own random state is left as it was.
        draw: What draws the samples; default: `draw_answers`.
    """
    if samples < 2:
        raise TaskError(f"sampling_check needs at least 2 samples a prompt; got {samples}")
    exact = answer_distribution(model, task, temperature=temperature, min_p=min_p)
    simulated = _simulate(exact, samples, simulations, seed)
    valid, diverse = _statistics(simulated, samples, exact.sizes[:, None])
    tails = ((1 - level) / 2, (1 + level) / 2)
    drawn = (draw or draw_answers)(model, task, samples, temperature, min_p, seed)
    validity, diversity = _statistics(drawn, samples, exact.sizes)
    return SamplingCheck(
        validity.mean(),
        tuple(np.quantile(valid.mean(axis=0), tails)),
        diversity.mean(),
        tuple(np.quantile(diverse.mean(axis=0), tails)),
    )


def draw_answers(model, task, samples, temperature, min_p, seed):
    """Counts (prompt, answer) of sampled tokens.

    Every sampling setting is given explicitly: a checkpoint's generation config would otherwise add its own.
    """
    widest = max(len(query.answers) for query in task.rendered)
    counts = np.zeros((len(task.rendered), widest), dtype=int)
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        torch.manual_seed(seed)
        for row, query in enumerate(task.rendered):
            ids = torch.tensor([query.token_ids], device=model.device)
            written = model.generate(
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
            counts[row] = _count(written[:, -1].tolist(), query, widest)
    return counts


def _count(tokens, query, widest):
    owner = {token: place for place, ids in enumerate(query.answers) for token in ids}
    return np.bincount([owner[token] for token in tokens if token in owner], minlength=widest)


def _simulate(exact, samples, simulations, seed):
    """Counts (prompt, simulation, answer) drawn from the exact distribution."""
    rng = np.random.default_rng(seed)
    probabilities = np.exp(exact.logprobs)
    invalid = np.maximum(1 - probabilities.sum(axis=1, keepdims=True), 0)
    outcomes = np.concatenate([probabilities, invalid], axis=1)
    outcomes /= outcomes.sum(axis=1, keepdims=True)
    return np.array([rng.multinomial(samples, row, size=simulations) for row in outcomes])[..., :-1]


def _statistics(counts, samples, sizes):
    """Share of valid samples, and entropy of the valid ones as a fraction of log |V| (0 where none is valid)."""
    with np.errstate(divide="ignore"):
        logs = np.log(counts / samples)
    return counts.sum(axis=-1) / samples, np.nan_to_num(conditional_entropy(logs)) / np.log(sizes)

"""What is measured on the logits of a patched run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from slr_probe.errors import SlrProbeError
from slr_probe.forward import distributions as maths
from slr_probe.forward.readout import AnswerTable
from slr_probe.stats.entropy import conditional_entropy, normalised_diversity, validity

Metric = Callable[[Tensor], Any]
"""From the logits of one prompt at the answer position, `[vocab]` in float32, to a number."""


class Scores:
    """Scores logits: entropy over the vocabulary, validity and diversity where there are answers, and own metrics.

    Args:
        answers: The answers of each prompt; None where there are none.
        metric: One metric (called `"metric"`), or several by name.

    Raises:
        SlrProbeError: A metric has the name of a built-in one, or is not callable.
    """

    def __init__(
        self,
        answers: AnswerTable | None,
        metric: Metric | Mapping[str, Metric] | None,
    ) -> None:
        self._answers = answers
        self._own = dict(metric) if isinstance(metric, Mapping) else {} if metric is None else {"metric": metric}
        built_in = ("entropy",) if answers is None else ("validity", "conditional_entropy", "diversity", "entropy")
        self.names = (*built_in, *self._own)
        if len(set(self.names)) < len(self.names) or not all(map(callable, self._own.values())):
            raise SlrProbeError(f"metric= is a function, or functions by names other than {', '.join(built_in)}")

    def __call__(
        self, logits: Float[Tensor, "cell prompt vocab"], rows: list[int]
    ) -> Float[ndarray, "metric cell prompt"]:
        """Every metric of every cell.

        Args:
            logits: At the answer position.
            rows: Which prompts these are.
        """
        p, log_p = maths.distribution(logits)
        metrics: dict[str, Any] = {"entropy": maths.entropy(p, log_p).cpu().numpy()}
        if self._answers is not None:
            answers = self._answers.rows(rows)
            logs = answers.mass(log_p).cpu().numpy()
            sizes = answers.sizes.cpu().numpy()
            share = normalised_diversity(logs, np.maximum(sizes, 2))
            metrics |= {
                "validity": validity(logs),
                "conditional_entropy": conditional_entropy(logs),
                "diversity": np.where(sizes > 1, share, np.nan),
            }
        for name, metric in self._own.items():
            metrics[name] = np.array([[_number(name, metric(row)) for row in cell] for cell in logits.float()])
        return np.stack([np.asarray(metrics[name], dtype=np.float64) for name in self.names])


def _number(name: str, value: Any) -> float:
    if isinstance(value, (torch.Tensor, np.ndarray)) and value.shape not in ((), (1,)):
        raise SlrProbeError(
            f"the metric '{name}' returned shape {list(value.shape)}; it is given the logits of one prompt, [vocab], "
            "and must return one number"
        )
    return float(value)

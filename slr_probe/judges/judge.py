"""`Judge`: anything that gives an output a number; `judge_all` asks it about many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.errors import JudgeError
from slr_probe.progress import progress_bar


class Judge(Protocol):
    """Any callable of prompt and output that returns a number, higher is better, or None where it has no verdict."""

    def __call__(self, prompt: str, text: str, /) -> float | None:
        """The verdict on one output."""


def judge_all(
    judge: Judge, prompts: Sequence[str], texts: Sequence[str], *, workers: int = 1, progress: bool | None = None
) -> Float[ndarray, " text"]:
    """Ask a judge about every output; equal pairs of prompt and output are asked about once.

    Args:
        judge: The judge. What it raises is not caught.
        prompts: User message for each output.
        texts: The outputs.
        workers: Questions at a time, for judges that wait for a network.
        progress: Show a progress bar; None: on a terminal and in Jupyter only.

    Returns:
        NaN where the judge has no verdict: missing, and to be counted as such.

    Raises:
        JudgeError: Numbers of prompts and texts differ, or a verdict is neither a number nor None.
    """
    if len(prompts) != len(texts):
        raise JudgeError(f"one prompt for each text: got {len(prompts)} prompts and {len(texts)} texts")
    if workers < 1:
        raise JudgeError(f"workers must be at least 1; got {workers}")
    unique = list(dict.fromkeys(zip(prompts, texts, strict=True)))
    found: dict[tuple[str, str], float] = {}
    steps = progress_bar(len(unique), "judge", unit=" texts", show=progress)
    with steps as ticker, ThreadPoolExecutor(workers) as pool:
        ask = map if workers == 1 else pool.map
        for pair, verdict in zip(unique, ask(lambda pair: judge(*pair), unique), strict=True):
            found[pair] = _number(verdict)
            ticker.update()
    return np.array([found[pair] for pair in zip(prompts, texts, strict=True)], dtype=np.float64)


def _number(verdict: object) -> float:
    if verdict is None:
        return math.nan
    if isinstance(verdict, bool) or not isinstance(verdict, (int, float, np.integer, np.floating)):
        raise JudgeError(f"a judge returns a number, or None for no verdict; got {verdict!r}")
    number = float(verdict)
    return number if math.isfinite(number) else math.nan

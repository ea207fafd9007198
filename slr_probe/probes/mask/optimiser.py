"""Steps of the scores behind gamma: Adam, and how the mean gamma is held at a budget."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

_BETAS = (0.9, 0.99)
_TINY = 1e-12


class Adam:
    """Adam with one second moment for all units that changed: one that matters more moves faster (our choice).

    Args:
        rate: Step.
        units: Number of units that changed.
    """

    def __init__(self, rate: float, units: int) -> None:
        self._rate, self._units, self._steps = rate, units, 0
        self._first: Any = 0.0
        self._second = 0.0

    def step(self, gradient: Float[ndarray, " unit"]) -> Float[ndarray, " unit"]:
        """What to subtract."""
        self._steps += 1
        a, b = _BETAS
        self._first = a * self._first + (1 - a) * gradient
        self._second = b * self._second + (1 - b) * float(np.square(gradient).sum()) / self._units
        first, second = self._first / (1 - a**self._steps), self._second / (1 - b**self._steps)
        return np.asarray(self._rate * first / (math.sqrt(second) + _TINY))


def sigmoid(x: Float[ndarray, " unit"]) -> Float[ndarray, " unit"]:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def along(gradient: Float[ndarray, " unit"], normal: Float[ndarray, " unit"]) -> Float[ndarray, " unit"]:
    """The part of a gradient that keeps the mean gamma."""
    return gradient - normal * float(gradient @ normal) / max(float(normal @ normal), _TINY)


def shift_to(score: Float[ndarray, " unit"], budget: float, temperature: float) -> float:
    """What to add to every score so that the mean gamma is the budget, by bisection."""
    low, high = -100 * temperature - float(score.max()), 100 * temperature - float(score.min())
    for _ in range(80):
        middle = (low + high) / 2
        if sigmoid((score + middle) / temperature).mean() < budget:
            low = middle
        else:
            high = middle
    return (low + high) / 2

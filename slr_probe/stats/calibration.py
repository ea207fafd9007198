"""Calibration: is an answer that is given with a confidence of 0.8 right in 0.8 of the cases?"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from slr_probe.defaults import LEVEL, RESAMPLES
from slr_probe.stats.bootstrap import drawn_together, resample_counts, tail_levels
from slr_probe.stats.interval import FEWEST, Interval

BINS = 10


def calibration_error(
    confidence: Float[ndarray, " prompt"], accuracy: Float[ndarray, " prompt"], bins: int = BINS
) -> float:
    """Expected calibration error (Guo et al. 2017, arXiv 1706.04599), as arXiv 2510.17426 measures beside accuracy.

    Prompts are put into bins of equal width by their confidence, 0 to 0.1 (both included), above 0.1 to 0.2 and so on;
    the mean over bins of `|mean accuracy - mean confidence|`, each bin weighted by its prompts. With few prompts it is
    too large: bins that are calibrated still scatter.

    Args:
        confidence: Of the answer to each prompt, from 0 to 1.
        accuracy: Whether that answer is right, from 0 to 1.
        bins: Number of bins.

    Returns:
        NaN without prompts.

    Raises:
        ValueError: The two differ in length, or a number is not from 0 to 1.

    Examples:
        >>> calibration_error(np.array([0.75] * 4), np.array([1, 1, 1, 0]))
        0.0
        >>> calibration_error(np.array([1.0, 1.0]), np.array([1, 0]))
        0.5
    """
    ones = np.ones((1, len(confidence)), dtype=np.int64)
    return float(_errors(confidence, accuracy, ones, bins)[0]) if len(confidence) else float("nan")


def calibration_interval(
    confidence: Float[ndarray, "model prompt"],
    accuracy: Float[ndarray, "model prompt"],
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
    strata: Any = None,
    bins: int = BINS,
) -> Interval:
    """Calibration error of each model with percentile intervals over prompts; NaN limits below 5 prompts.

    Args:
        confidence: As for `calibration_error`, a row a model; models share the prompts.
        accuracy: Likewise.
        level: Nominal coverage.
        resamples: Bootstrap resamples.
        seed: The same seed gives the same limits.
        strata: Labels of the prompts; see `resample_counts`.
        bins: Number of bins.

    Raises:
        ValueError: As for `calibration_error`.
    """
    rows = list(zip(confidence, accuracy, strict=True))
    estimate = np.array([calibration_error(*row, bins) for row in rows], dtype=np.float64)
    limits = np.full((2, len(rows)), np.nan)
    prompts = confidence.shape[-1]
    if prompts >= FEWEST:
        counts = resample_counts(prompts, resamples, seed, strata)
        tails = tail_levels(prompts, len(drawn_together(prompts, strata)), level, True)
        for i, row in enumerate(rows):
            limits[:, i] = np.quantile(_errors(*row, counts, bins), tails)
    return Interval(estimate, limits[0], limits[1], level)


def _errors(
    confidence: Any, accuracy: Any, counts: Int[ndarray, "resample prompt"], bins: int
) -> Float[ndarray, " resample"]:
    """The error of the prompts as often as each is drawn."""
    sure, right = (np.asarray(values, dtype=np.float64) for values in (confidence, accuracy))
    if sure.shape != right.shape or not ((sure >= 0) & (sure <= 1) & (right >= 0) & (right <= 1)).all():
        raise ValueError("calibration needs one confidence and one accuracy for each prompt, both from 0 to 1")
    place = np.clip(np.ceil(np.round(sure * bins, 9)).astype(int) - 1, 0, bins - 1)
    gaps = np.zeros((len(sure), bins))
    gaps[np.arange(len(sure)), place] = right - sure
    return np.asarray(np.abs(counts @ gaps).sum(axis=1) / counts.sum(axis=1))

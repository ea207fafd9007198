"""How often does an interval over prompts of small categories hold the mean, drawn within categories or from all?

    python benchmarks/strata.py [--repeats 1500]

Prints the table of `docs/statistics.md`, as Markdown. Values are normal or log-normal around the mean of their
category; means of categories are equal, or spread evenly around 0, which is the true mean.
"""

from __future__ import annotations

import argparse

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.stats.interval import mean_interval

SIZES = ((2, 5), (3, 4), (3, 7), (4, 5), (5, 4))
"""Prompts of a category, and categories."""


def coverage(values: Float[ndarray, "repeat prompt"], strata: ndarray | None) -> float:
    """Share of data sets whose 95% interval holds 0; categories of fewer than 4 prompts do not count in it."""
    found = mean_interval(values, strata=strata, resamples=1000)
    return float(((found.low <= 0) & (found.high >= 0)).mean())


def simulated(kind: str, shape: tuple[int, int], rng: np.random.Generator) -> Float[ndarray, "repeat prompt"]:
    """Values with mean 0."""
    if kind == "normal":
        return rng.normal(size=shape)
    return np.asarray(rng.lognormal(size=shape) - np.exp(0.5))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1500)
    repeats, rng = parser.parse_args().repeats, np.random.default_rng(0)
    print("| values | means of categories | " + " | ".join(f"{n} times {size}" for size, n in SIZES) + " |")
    print("| --- | --- |" + " --- |" * len(SIZES))
    for kind in ("normal", "log-normal"):
        for between, title in ((0.0, "equal"), (1.0, "from -1 to 1"), (3.0, "from -3 to 3")):
            found = []
            for size, categories in SIZES:
                labels = np.repeat(np.arange(categories), size)
                means = between * np.linspace(-1, 1, categories)[labels]
                found.append(coverage(simulated(kind, (repeats, len(labels)), rng) + means, labels))
            print(f"| {kind} | {title} | " + " | ".join(f"{value:.3f}" for value in found) + " |")


if __name__ == "__main__":
    main()

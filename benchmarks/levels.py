"""How often do tests of a mean paired difference reject where there is none, and find one that is there?

    python benchmarks/levels.py [--repeats 4000]

Prints the tables of `docs/statistics.md`, as Markdown. Differences are normal; log-normal; or gains: most prompts gain
next to nothing and a few gain much (a beta distribution). Means are zero for the level; for the power a shift of 0.6
standard deviations is added.
"""

from __future__ import annotations

import argparse

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import stats

from slr_probe.stats.compare import paired_test, sign_flip_test, skew_corrected_t_test

SIZES = (5, 10, 20, 40)
KINDS = {"normal": stats.norm(), "log-normal": stats.lognorm(1.0), "gains": stats.beta(0.4, 2.0)}
TESTS = {"sign flips": sign_flip_test, "corrected t": skew_corrected_t_test, "both": paired_test}


def rates(repeats: int, shift: float, seed: int = 0) -> dict[tuple[str, str], list[float]]:
    """Shares of data sets on which each test gives p <= 0.05, for every number of prompts."""
    rng = np.random.default_rng(seed)
    found: dict[tuple[str, str], list[float]] = {(kind, test): [] for kind in KINDS for test in TESTS}
    for kind in KINDS:
        for size in SIZES:
            data = differences(kind, (repeats, size), rng) + shift
            for name, test in TESTS.items():
                found[kind, name].append(float((test(data) <= 0.05).mean()))
    return found


def differences(kind: str, shape: tuple[int, int], rng: np.random.Generator) -> Float[ndarray, "repeat prompt"]:
    """Differences with mean 0 and standard deviation 1."""
    law = KINDS[kind]
    return np.asarray((law.rvs(size=shape, random_state=rng) - law.mean()) / law.std())


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=4000)
    args = parser.parse_args()
    for title, shift in (("level", 0.0), ("power", 0.6)):
        print(f"\n| {title}: differences | test | " + " | ".join(f"n = {size}" for size in SIZES) + " |")
        print("| --- | --- |" + " --- |" * len(SIZES))
        for (kind, test), values in rates(args.repeats, shift).items():
            print(f"| {kind} | {test} | " + " | ".join(f"{value:.3f}" for value in values) + " |")


if __name__ == "__main__":
    main()

"""Replies whose scores are known, for tests of guards."""

from __future__ import annotations

import numpy as np

from slr_probe.rank.guards.table import Place, ReplyTable


def table_of(ending, surprise=1.0, drift=0.0, spread=1.0, early=1e-4, prompts=12, noise=0.0, seed=0):
    """A table with an end, two places inside and an opening a prompt; numbers or one number for each row."""
    rows = len(ending)
    rng = np.random.default_rng(seed)
    reads = [(prompt, place) for prompt in range(prompts) for place in (Place.END, Place.INSIDE, Place.INSIDE, 4)]
    prompt, place = (np.array(column, dtype=int) for column in zip(*reads, strict=True))
    per_row = lambda values: np.broadcast_to(values, rows)[:, None]  # noqa: E731
    drawn = np.exp(noise * rng.normal(size=prompts))[prompt]  # shared by all rows
    given = -per_row(surprise) * drawn
    end = np.log(np.where(place == Place.END, np.minimum(per_row(ending) * drawn, 1 - 1e-9), per_row(early)))
    scores = np.stack(np.broadcast_arrays(given, end, per_row(drift) * drawn, per_row(spread) * drawn), axis=-1).astype(
        np.float64
    )
    return ReplyTable(prompt, place, scores)

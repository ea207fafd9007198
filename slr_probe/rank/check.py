"""Arguments of `rank_layers`, checked before any model is loaded, and tuned's validity, before ranges are swept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, get_args

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.errors import RankingError
from slr_probe.forward.budget import as_dtype, parse_bytes
from slr_probe.rank.candidates import FAMILIES
from slr_probe.rank.measure import Prompts
from slr_probe.rank.rows import Objective
from slr_probe.sweep.settings import Measure
from slr_probe.tasks.crc import RenderedTask


def check_method(method: Any, known: Sequence[str]) -> None:
    """Check the name of a method.

    Raises:
        RankingError: There is none of that name.
    """
    if method not in known:
        raise RankingError(f"unknown method {method!r}; expected one of {', '.join(known)}")


def check_floor(floor: Any) -> None:
    """Check the share of tuned's validity that a range must keep.

    Raises:
        RankingError: It is no number above 0 and up to 1.
    """
    if not _is(Real, floor) or not 0 < floor <= 1:
        raise RankingError(f"floor must lie above 0 and not above 1 (a share of tuned's validity); got {floor!r}")


def check_objective(objective: Any) -> None:
    """Check what is to be maximised.

    Raises:
        RankingError: It is unknown.
    """
    if objective not in get_args(Objective):
        raise RankingError(f"unknown objective {objective!r}; expected one of {', '.join(get_args(Objective))}")


def check_aim(objective: Any, floor: Any) -> None:
    """Check what is to be maximised, and the share of tuned's validity that must be kept.

    Raises:
        RankingError: Either is out of its range.
    """
    check_floor(floor)
    check_objective(objective)


def check_candidates(candidates: Any, method: str) -> frozenset[str]:
    """Read the names of families of recipes; ranges are always among them.

    Raises:
        RankingError: A name is unknown, or the method measures ranges only.
    """
    named = [candidates] if isinstance(candidates, str) else list(candidates)
    unknown = [name for name in named if name not in FAMILIES]
    if unknown or not named:
        raise RankingError(f"unknown candidates {unknown or 'none'}; expected some of {', '.join(FAMILIES)}")
    found = frozenset(named) - {"ranges"}
    if found and method != "sweep":
        raise RankingError(
            f"method={method!r} ranks whole ranges only; take method='sweep' for {', '.join(sorted(found))}"
        )
    return found


def check_ended(ended: bool, prompts: Prompts) -> Prompts:
    """Check that replies can be asked whether they end; returns the prompts.

    Raises:
        RankingError: The prompts are not of a CRC task, whose answers can be rendered with what ends them.
    """
    if ended and not isinstance(prompts.selection, RenderedTask):
        kind = type(prompts.selection).__name__
        raise RankingError(f"ended=True renders the prompts of a CRC task anew; {kind} is none: leave it out")
    return prompts


def check_numbers(counts: Mapping[str, Any], level: Any, seed: Any, soups: Any = 0) -> None:
    """Check counts by name, the level of intervals, the seed and the number of soups.

    Raises:
        RankingError: A count is no whole number of at least 1, the level is not between 0 and 1, or seed or soups
            are no whole numbers of at least 0.
    """
    for name, least, value in _least(counts, seed=seed, soups=soups):
        if not _is(Integral, value) or value < least:
            raise RankingError(f"{name} must be a whole number of at least {least}; got {value!r}")
    if not _is(Real, level) or not 0 < level < 1:
        raise RankingError(f"level must lie between 0 and 1, such as 0.95; got {level!r}")


def _least(counts: Mapping[str, Any], **others: Any) -> Iterator[tuple[str, int, Any]]:
    """Name, least value and value of every count."""
    yield from ((name, 1, value) for name, value in counts.items())
    yield from ((name, 0, value) for name, value in others.items())


def check_engine(engine: Mapping[str, Any]) -> None:
    """Check options of `sweep`.

    Raises:
        SweepError: A temperature, min-p, memory limit or dtype that is none.
    """
    Measure(engine["temperature"], engine["min_p"])
    parse_bytes(engine["memory"])
    as_dtype(engine["dtype"])


def check_tuned(validity: Float[ndarray, " prompt"], min_p: float) -> None:
    """Check that there is validity of which a share can be kept.

    Raises:
        RankingError: Tuned gives none of the valid answers any probability, on any prompt.
    """
    if not np.any(validity > 0):
        raise RankingError(
            f"tuned gives the valid answers of all {len(validity)} selection prompts no probability (min_p={min_p:g}), "
            "so no range can keep a share of it; lower min_p, or give prompts, answers or a chat template that fit the "
            "model"
        )


def _is(kind: type, value: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)

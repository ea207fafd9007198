"""Replies before there are any: rows of the length that replies usually have, and what sampling them costs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from slr_probe.defaults import MIN_P
from slr_probe.pair.prompts import Format
from slr_probe.rank.guards.bounds import Guards
from slr_probe.rank.guards.replies import OPENING, ROUNDS, ReadReplies, Writer, Written, reply_tasks

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair

_LENGTH = 0.5
"""Length of a reply as a share of the most that it may have (ours)."""
_FOLLOWED = 3.0  # seconds
_HALVES = 2  # for the choice, and held out


def supposed_replies(pair: ModelPair, guards: Guards, format: Format | None) -> ReadReplies:
    """Made-up replies to the prompts that replies would be sampled to; only their lengths mean something."""
    from slr_probe.generation.decode import end_tokens

    writer, length = Writer(pair, guards, format, end_tokens(pair)), max(2, int(_LENGTH * guards.max_tokens))
    (qa, _), (writing, _) = reply_tasks(pair, guards)
    asked = writer.rendered(writer.asked(qa, writing))
    written = [Written(name, "tuned", False, ids, (ids[0],) * length, True) for name, ids in asked.items()]
    for name, ids in list(asked.items())[: guards.openings]:
        written += [Written(name, by, True, ids, (ids[0],) * OPENING, False) for by in ("tuned", "base")]
    return ReadReplies.of(written, writer.ends, guards)


def writing_seconds(pair: ModelPair, guards: Guards, format: Format | None) -> float:
    """Seconds that sampling the replies takes: as many rounds as it needs to see enough of them end.

    Raises:
        GenerationError: A prompt and its reply do not fit the context.
    """
    from slr_probe.generation.cost import measure_pace
    from slr_probe.generation.decode import Request, check_lengths, end_tokens
    from slr_probe.generation.sampling import Sampling

    writer = Writer(pair, guards, format, end_tokens(pair))
    (qa, _), (writing, _) = reply_tasks(pair, guards)
    requests = [Request(name, ids, (0,)) for name, ids in writer.rendered(writer.asked(qa, writing)).items()]
    sampling = Sampling(min_p=MIN_P, max_tokens=guards.max_tokens, seed=guards.seed)
    check_lengths(pair.tuned.config, requests, sampling)
    pace = measure_pace(pair.tuned, requests, sampling, ends=writer.ends, seconds=_FOLLOWED)
    share = pace.ending_share(guards.max_tokens)
    rounds = min(ROUNDS, math.ceil(guards.replies / max(share * len(requests), 1)))
    openings = pace.seconds(requests[: guards.openings], Sampling(max_tokens=OPENING))
    return _HALVES * (rounds * pace.seconds(requests, sampling) + 2 * openings)
